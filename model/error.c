/* error.c - why a call failed, in plain memory. */
#include "model/error.h"

#include <stdarg.h>
#include <stdio.h>

static int fail(struct ctask_error *err, int code, uint64_t addr, const char *format, va_list args)
{
	if (err) {
		err->code = code;
		err->addr = addr;
		vsnprintf(err->text, sizeof(err->text), format, args);
	}
	return -code;
}

int ctask_fail(struct ctask_error *err, int code, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = fail(err, code, 0, format, args);
	va_end(args);
	return ret;
}

int ctask_fail_at(struct ctask_error *err, int code, uint64_t addr, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = fail(err, code, addr, format, args);
	va_end(args);
	return ret;
}
