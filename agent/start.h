/* start.h - when a process started: with its id, which process it is. */
#ifndef CTASK_AGENT_START_H
#define CTASK_AGENT_START_H

#include <stdint.h>

/**
 * Field 22 of the file @p stat, /proc/self/stat or that of another process: clock ticks since
 * boot. 0 when it cannot be read. Without the C library's stdio, which the program may have locked.
 */
uint64_t ctask_start_ticks(const char *stat);

#endif
