/* enter.c - how the agent gets into a process: preloaded, before any Python runs. */
#define CTASK_DEFINES_DLOPEN
#include <stdint.h>
#include <string.h>

#include "agent/history.h"
#include "agent/hooks.h"
#include "agent/portable.h"
#include "agent/serve.h"

static void *(*real_dlopen)(const char *, int);

/** Modules that are built into the interpreter: Include/cpython/import.h */
struct inittab {
	const char *name;
	void *(*init)(void);
};

static void look_for_built_in(void)
{
	struct inittab **table = dlsym(RTLD_DEFAULT, "PyImport_Inittab");

	for (struct inittab *row = table ? *table : NULL; row && row->name; row++)
		if (!strcmp(row->name, "_asyncio") || !strcmp(row->name, "select"))
			ctask_hooks_install((const void *)(uintptr_t)row->init);
}

__attribute__((constructor)) static void enter(void)
{
	if (!dlsym)
		return;
	look_for_built_in();
	if (dlerror)
		dlerror(); /* what was not there is nobody's error */
}

__attribute__((destructor)) static void leave(void)
{
	if (ctask_writer.header)
		ctask_serve_end();
}

/**
 * CPython loads _asyncio and select by this. Any other call is handed on by a jump, so that
 * the C library sees its caller, whose search path counts.
 */
__attribute__((visibility("default"))) void *dlopen(const char *file, int mode)
{
	void *handle, *init;
	const char *name;

	if (!real_dlopen)
		real_dlopen = (void *(*)(const char *, int))(uintptr_t)dlsym(RTLD_NEXT, "dlopen");
	if (file && strstr(file, "_asyncio"))
		name = "PyInit__asyncio";
	else if (file && strstr(file, "/select."))
		name = "PyInit_select";
	else
		return real_dlopen(file, mode);
	handle = real_dlopen(file, mode);
	init = handle ? dlsym(handle, name) : NULL;
	if (init)
		ctask_hooks_install(init);
	if (handle && !init && dlerror)
		dlerror();
	return handle;
}
