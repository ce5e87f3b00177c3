/* error.h - why a call failed, in plain memory. */
#ifndef CTASK_MODEL_ERROR_H
#define CTASK_MODEL_ERROR_H

#include <errno.h>
#include <stdint.h>

/*
 * Failing functions return 0 or -errno. A few errno values have one meaning
 * throughout the project, because the command line turns them into its exit
 * status:
 *
 *   ESRCH       there is no such process
 *   EPERM       the kernel refuses; the text names the missing right
 *   ENOTSUP     no runtime there that ctask knows
 *   EOWNERDEAD  the target ended while it was being read
 *
 * Everything else is a plain failure.
 */

/** Why a call failed. Plain memory: nothing to free, safe when malloc is not. */
struct ctask_error {
	int code;	/**< positive errno value; 0 = no error */
	uint64_t addr;	/**< faulting remote address, 0 when there is none */
	char text[512]; /**< one line, no newline, for people */
};

/**
 * Fill @p err (may be NULL) and return -@p code, so that a caller can write
 * `return ctask_fail(err, EPROTO, "…")`. Text that does not fit is cut.
 */
int ctask_fail(struct ctask_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** The same, and remember the remote address that the failure is about. */
int ctask_fail_at(struct ctask_error *err, int code, uint64_t addr, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
