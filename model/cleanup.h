/* cleanup.h - scope guards: what a function holds is given back when it leaves. */
#ifndef CTASK_MODEL_CLEANUP_H
#define CTASK_MODEL_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void ctask_guard_free(void *where)
{
	free(*(void **)where);
}

static inline void ctask_guard_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void ctask_guard_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void ctask_guard_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/** Call free() on the variable when it goes out of scope. */
#define auto_free __attribute__((cleanup(ctask_guard_free)))
/** `auto_fd fd = open(…)`: close() it when it goes out of scope, unless negative. */
#define auto_fd __attribute__((cleanup(ctask_guard_close))) int
/** Call fclose() on the FILE * when it goes out of scope, unless NULL. */
#define auto_fclose __attribute__((cleanup(ctask_guard_fclose)))
/** Call closedir() on the DIR * when it goes out of scope, unless NULL. */
#define auto_closedir __attribute__((cleanup(ctask_guard_closedir)))

/** Take a pointer out of its guard. */
#define steal_ptr(where)                                                                           \
	({                                                                                         \
		__typeof__(*(where)) stolen_ = *(where);                                           \
		*(where) = NULL;                                                                   \
		stolen_;                                                                           \
	})

/** Take a descriptor out of its guard. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
