/* descriptor.c - the agent's own files, kept apart from those of the program. */
#include "agent/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/resource.h>

#include "agent/portable.h"

enum {
	HIGH_NUMBER = 900, /* below 1024: a larger table would cost the program memory */
	CLOSE_RANGE = 436, /* the system call; newer than some headers */
	CLOSE_RANGE_OWN_TABLE = 2,
	NUMBERS_MOST = 1 << 16,
};

/* The thread's table is its own. */
static bool apart;

static long close_range_of(unsigned first, unsigned last, unsigned flags)
{
	return syscall(CLOSE_RANGE, first, last, flags);
}

/* Older kernels: a table of our own with all files of the program in it, which are then closed one by one. */
static bool leave_old_table(int keep)
{
	struct rlimit limit;
	int most = NUMBERS_MOST;

	if (unshare(CLONE_FILES))
		return false;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < NUMBERS_MOST)
		most = (int)limit.rlim_cur;
	for (int fd = 0; fd < most; fd++)
		if (fd != keep)
			close(fd);
	return true;
}

bool ctask_own_table(int keep)
{
	unsigned kept = (unsigned)keep;
	bool own;

	/* Above first, so that nothing is copied that would be closed at once. */
	if (keep < 0)
		own = close_range_of(0, UINT_MAX, CLOSE_RANGE_OWN_TABLE) == 0;
	else
		own = close_range_of(kept + 1, UINT_MAX, CLOSE_RANGE_OWN_TABLE) == 0;
	if (!own)
		own = leave_old_table(keep);
	else if (kept > 0 && keep > 0)
		(void)close_range_of(0, kept - 1, 0);
	if (!own)
		return false;
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", O_RDWR | O_CLOEXEC);
	apart = true;
	return true;
}

bool ctask_own_take(struct ctask_own *own, int fd)
{
	if (fd < 0 || !ctask_own_copy(own, fd))
		return false;
	if (own->number - 1 != fd)
		close(fd);
	return true;
}

bool ctask_own_copy(struct ctask_own *own, int fd)
{
	struct rlimit limit;
	struct stat st;
	int at = apart ? 3 : HIGH_NUMBER, copy;

	*own = (struct ctask_own){ 0 };
	if (fd < 0 || ctask_fstat(fd, &st))
		return false;
	if (!apart && !getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur <= HIGH_NUMBER)
		at = (int)(limit.rlim_cur / 2);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, at);
	if (copy < 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return false;
	*own = (struct ctask_own){ .number = copy + 1, .device = st.st_dev, .inode = st.st_ino };
	return true;
}

int ctask_own_fd(struct ctask_own *own)
{
	struct stat st;

	if (!own->number)
		return -1;
	if (!ctask_fstat(own->number - 1, &st) && st.st_dev == own->device &&
	    st.st_ino == own->inode)
		return own->number - 1;
	*own = (struct ctask_own){ 0 };
	return -1;
}

void ctask_own_close(struct ctask_own *own)
{
	int fd = ctask_own_fd(own);

	if (fd >= 0)
		close(fd);
	*own = (struct ctask_own){ 0 };
}

bool ctask_own_forget_table(void)
{
	bool was = apart;

	apart = false;
	return was;
}
