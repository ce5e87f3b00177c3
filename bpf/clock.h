/* clock.h - what time it is. */
#ifndef CTASK_BPF_CLOCK_H
#define CTASK_BPF_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Microseconds of @p clock. */
static inline int64_t ctask_clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
