/* moment.h - times as people write them on a command line. */
#ifndef CTASK_CLI_MOMENT_H
#define CTASK_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

/** "90", "90s", "10m", "1.5h", "2d", "250ms" in microseconds. False when it is nothing like that. */
bool ctask_moment_span(const char *text, int64_t *ret_us);
/**
 * A span before @p now_us, or a moment: "14:03", "14:03:07" (local, the last one that has
 * been), "2026-11-21 14:03:07" (local), the same with T, and with Z for UTC; seconds may
 * have a fraction. In microseconds since the epoch.
 */
bool ctask_moment_parse(const char *text, int64_t now_us, int64_t *ret_us);

#endif
