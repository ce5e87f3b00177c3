/* hold.c - a moment in which no Python runs in the process that we are in. */
#include "agent/tree/hold.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/portable.h"
#include "model/cleanup.h"

enum {
	OWN_LOCKS_SINCE_MINOR = 12,
	COMES_MS = 50,	 /* how long the main thread is waited for */
	STANDS_MS = 200, /* and how long it waits for us */
	NS_PER_MS = 1000000,
};

/*
 * What the two threads know of each other, in one futex word: a number for each
 * attempt, times four, and one of these.
 */
enum { NOBODY, ASKED, STANDS, STANDS_IN_VAIN };

static uint32_t word;
static uint32_t queued; /* the main thread still has a call of ours before it */
static int lock_state;	/* of the lock, where that was taken */
static bool has_lock;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Until the word is no longer @p value, or it is @p until_ns. False for the latter. */
static bool wait_while(uint32_t value, int64_t until_ns)
{
	while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == value) {
		int64_t left = until_ns - now_ns();
		struct timespec t = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };

		if (left <= 0)
			return false;
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, &t, NULL, 0);
	}
	return true;
}

static bool change(uint32_t from, uint32_t to)
{
	if (!__atomic_compare_exchange_n(&word, &from, to, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
	return true;
}

/*
 * Of CPython. Found before anything is held: to look for a symbol takes a lock of the
 * linker's, which a thread may have that waits for the interpreter's.
 */
static struct {
	int (*Py_IsInitialized)(void);
	int (*Py_IsFinalizing)(void);
	const char *(*Py_GetVersion)(void);
	void *(*PyInterpreterState_Head)(void);
	void *(*PyInterpreterState_Next)(void *);
	int (*Py_AddPendingCall)(int (*)(void *), void *);
	int (*PyGILState_Ensure)(void);
	void (*PyGILState_Release)(int);
} py;

static const struct {
	const char *name;
	void *to;
} functions[] = {
	{ "Py_IsInitialized", &py.Py_IsInitialized },
	{ "_Py_IsFinalizing", &py.Py_IsFinalizing },
	{ "Py_IsFinalizing", &py.Py_IsFinalizing }, /* its name from 3.13 on */
	{ "Py_GetVersion", &py.Py_GetVersion },
	{ "PyInterpreterState_Head", &py.PyInterpreterState_Head },
	{ "PyInterpreterState_Next", &py.PyInterpreterState_Next },
	{ "Py_AddPendingCall", &py.Py_AddPendingCall },
	{ "PyGILState_Ensure", &py.PyGILState_Ensure },
	{ "PyGILState_Release", &py.PyGILState_Release },
};

static bool find_functions(void)
{
	bool all = true;

	for (size_t i = 0; dlsym && i < ARRAY_SIZE(functions); i++) {
		void *found = dlsym(RTLD_DEFAULT, functions[i].name);

		if (found)
			memcpy(functions[i].to, &found, sizeof(found));
	}
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		all &= *(void **)functions[i].to != NULL;
	return all;
}

/* True from the moment in which Python begins to end: then the lock is no longer given to such as we. */
static bool is_ending(void)
{
	return !py.Py_IsInitialized() || py.Py_IsFinalizing();
}

/* With the lock. */
static bool has_one_lock(void)
{
	return atoi(py.Py_GetVersion() + 2) < OWN_LOCKS_SINCE_MINOR ||
	       !py.PyInterpreterState_Next(py.PyInterpreterState_Head());
}

/* In Python's main thread, with the lock. */
static int stand(void *attempt)
{
	uint32_t number = (uint32_t)(uintptr_t)attempt;
	uint32_t how = has_one_lock() ? STANDS : STANDS_IN_VAIN;
	int saved = errno;

	__atomic_store_n(&queued, 0, __ATOMIC_SEQ_CST);
	if (change(number | ASKED, number | how) &&
	    !wait_while(number | how, now_ns() + (int64_t)STANDS_MS * NS_PER_MS))
		(void)change(number | how, number | NOBODY);
	errno = saved;
	return 0;
}

/*
 * The lock itself is not asked for first: a loop that gives it up for an instant in
 * each round, as event loops do, takes it back before others wake, and those
 * may wait for seconds. 0, -EAGAIN when it does not come, -EBUSY.
 */
static int ask_main_thread(void)
{
	uint32_t number = (__atomic_load_n(&word, __ATOMIC_SEQ_CST) & ~3u) + 4;

	if (__atomic_exchange_n(&queued, 1, __ATOMIC_SEQ_CST))
		return -EAGAIN;
	__atomic_store_n(&word, number | ASKED, __ATOMIC_SEQ_CST);
	if (py.Py_AddPendingCall(stand, (void *)(uintptr_t)number)) {
		__atomic_store_n(&word, number | NOBODY, __ATOMIC_SEQ_CST);
		__atomic_store_n(&queued, 0, __ATOMIC_SEQ_CST);
		return -EAGAIN;
	}
	if (!wait_while(number | ASKED, now_ns() + (int64_t)COMES_MS * NS_PER_MS) &&
	    change(number | ASKED, number | NOBODY))
		return -EAGAIN;
	if (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == (number | STANDS))
		return 0;
	(void)change(number | STANDS_IN_VAIN, number | NOBODY);
	return -EBUSY;
}

int ctask_hold_take(int (*may_hold)(void))
{
	int ret;

	if (!find_functions() || !may_hold() || is_ending())
		return -EBUSY;
	ret = ask_main_thread();
	if (ret != -EAGAIN)
		return ret;
	if (!may_hold() || is_ending())
		return -EBUSY;
	lock_state = py.PyGILState_Ensure();
	has_lock = true;
	if (has_one_lock())
		return 0;
	(void)ctask_hold_let_go();
	return -EBUSY;
}

bool ctask_hold_let_go(void)
{
	uint32_t number = __atomic_load_n(&word, __ATOMIC_SEQ_CST) & ~3u;

	if (!has_lock)
		return change(number | STANDS, number | NOBODY);
	has_lock = false;
	py.PyGILState_Release(lock_state);
	return true;
}
