/* answer.c - answers that take their time are found by a thread that lives for one of them. */
#include "agent/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "agent/portable.h"
#include "agent/tree/answer.h"
#include "agent/wire.h"
#include "model/rendezvous.h"

enum {
	STACK_BYTES = 1 << 20,
	SEE_OFF_TRIES =
		400, /* of SEE_OFF_NS each, at least: until a thread has ended that only has to return */
	SEE_OFF_NS = 50000,
};

enum state { RESTING, WORKING, DONE };

static struct {
	uint32_t
		state; /* enum state; atomic: the two threads hand the rest to each other with it */
	uint32_t number;
	char request[CTASK_REQUEST_BYTES_MAX];
	struct ctask_answer answer;
	int error;
	int thread; /* native id of the one that finds it */
	struct ctask_own out, wakes, wake;

	char library[CTASK_PLACE_BYTES];
	ctask_answer_door *door;
} job;

void ctask_answer_locate(void)
{
	struct ctask_wire path = { .to = job.library, .room = sizeof(job.library) };
	const char *slash;
	Dl_info where;

	if (!dladdr || !dladdr((void *)ctask_answer_locate, &where) || where.dli_fname[0] != '/')
		return;
	ctask_wire_put(&path, where.dli_fname);
	slash = strrchr(job.library, '/');
	path.len = (size_t)(slash + 1 - job.library);
	ctask_wire_put(&path, CTASK_TREE_LIBRARY);
	if (path.full)
		job.library[0] = '\0';
}

static int say(const char *text, const char *more)
{
	struct ctask_wire wire = { .to = job.answer.text, .room = sizeof(job.answer.text) };

	ctask_wire_put(&wire, text);
	ctask_wire_put(&wire, more ? more : "");
	return -ENOSYS;
}

static int open_library(void)
{
	void *library;

	if (job.door)
		return 0;
	if (!dlopen || !dlsym || !dlerror)
		return say("the program has no libdl", NULL);
	if (!job.library[0])
		return say("the agent was not loaded by an absolute path: where " CTASK_TREE_LIBRARY
			   " is cannot be told",
			   NULL);
	library = dlopen(job.library, RTLD_LOCAL | RTLD_NOW);
	if (library)
		job.door = (ctask_answer_door *)dlsym(library, CTASK_TREE_DOOR);
	return job.door ? 0 : say("the reader cannot be loaded: ", dlerror());
}

static void *find(void *unused)
{
	int error;

	(void)unused;
	prctl(PR_SET_NAME, "ctask-answer");
	error = open_library();
	if (!error)
		error = job.door(&job.answer);
	job.error = error;
	job.thread = ctask_gettid();
	__atomic_store_n(&job.state, DONE, __ATOMIC_RELEASE);
	(void)!write(ctask_own_fd(&job.wake), "", 1);
	return NULL;
}

static int start_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	if (!pthread_create || !pthread_attr_setstacksize)
		return -ENOSYS;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	error = pthread_create(&thread, &attr, find, NULL);
	pthread_attr_destroy(&attr);
	return -error;
}

static void close_all(void)
{
	ctask_own_close(&job.out);
	ctask_own_close(&job.wakes);
	ctask_own_close(&job.wake);
}

/* A file in memory for the data lines, and a pipe for the word that they are there. */
static int open_all(void)
{
	int out = memfd_create("ctask-answer", MFD_CLOEXEC);
	int pipe_ends[2];

	if (out < 0)
		return -errno;
	if (!ctask_own_take(&job.out, out)) {
		close(out);
		return -EMFILE;
	}
	if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (!ctask_own_take(&job.wakes, pipe_ends[0]))
		close(pipe_ends[0]);
	if (!ctask_own_take(&job.wake, pipe_ends[1]))
		close(pipe_ends[1]);
	return job.wakes.number && job.wake.number ? 0 : -EMFILE;
}

static bool holds_no_more;

void ctask_answer_hold_no_more(void)
{
	__atomic_store_n(&holds_no_more, true, __ATOMIC_SEQ_CST);
}

static int may_hold(void)
{
	return !__atomic_load_n(&holds_no_more, __ATOMIC_SEQ_CST) &&
	       !(__atomic_load_n(&job.answer.history->flags, __ATOMIC_RELAXED) &
		 CTASK_HISTORY_ENDED);
}

int64_t ctask_answer_begin(const char *request, const struct ctask_history_header *history)
{
	struct ctask_wire copy = { .to = job.request, .room = sizeof(job.request) };
	int error;

	if (__atomic_load_n(&job.state, __ATOMIC_ACQUIRE) != RESTING)
		return -EBUSY;
	ctask_wire_put(&copy, request);
	error = open_all();
	if (!error) {
		job.answer = (struct ctask_answer){
			.bytes = sizeof(job.answer),
			.request = job.request,
			.history = history,
			.out = ctask_own_fd(&job.out),
			.out_bytes_max = CTASK_REPLY_BYTES_MAX,
			.may_hold = may_hold,
			.service_tid = ctask_gettid(),
		};
		job.state = WORKING;
		error = start_thread();
	}
	if (error) {
		job.state = RESTING;
		close_all();
		return error;
	}
	return ++job.number ? job.number : ++job.number;
}

int ctask_answer_wakes(void)
{
	return ctask_own_fd(&job.wakes);
}

/* Who asked may have the program fork next, which must find no thread of ours then. */
static void see_off(int thread)
{
	const struct timespec pause = { .tv_nsec = SEE_OFF_NS };

	for (int i = 0; i < SEE_OFF_TRIES && ctask_thread_is_counted(thread); i++)
		nanosleep(&pause, NULL);
}

bool ctask_answer_end(struct ctask_answer_result *ret_result)
{
	struct stat st = { 0 };
	int out;

	if (__atomic_load_n(&job.state, __ATOMIC_ACQUIRE) != DONE)
		return false;
	see_off(job.thread);
	out = ctask_own_fd(&job.out);
	*ret_result = (struct ctask_answer_result){
		.job = job.number,
		.error = job.error,
		.text = job.answer.text,
		.dropped = job.answer.dropped,
	};
	if (!job.error && (out < 0 || ctask_fstat(out, &st))) {
		say("the answer's file was closed", NULL);
		ret_result->error = -EBUSY;
	} else {
		ret_result->bytes = (uint64_t)st.st_size;
		ret_result->data = job.out;
		job.out = (struct ctask_own){ 0 };
	}
	close_all();
	job.state = RESTING;
	return true;
}

void ctask_answer_forget(bool close_files)
{
	if (close_files)
		close_all();
	job.out = job.wakes = job.wake = (struct ctask_own){ 0 };
	job.state = RESTING;
}
