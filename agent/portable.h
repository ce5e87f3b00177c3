/* portable.h - one binary for every C library from glibc 2.28 on, in any program. */
#ifndef CTASK_AGENT_PORTABLE_H
#define CTASK_AGENT_PORTABLE_H

/*
 * The agent is built once and preloaded into programs of other systems,
 * containers too, /bin/ls among them. A symbol version that the C library
 * there does not have, or a function of a library that the program does not
 * link, would keep the program from starting. Therefore no source of the agent
 * demands a version above GLIBC_2.28; tests/style/agent_symbols.sh looks.
 *
 * glibc 2.34 moved libdl and libpthread into libc and gave their functions new
 * versions; before, they were in libraries that may not be loaded. Those that
 * the agent uses are declared here, bound to their old version, and weak: where
 * the program has no such library their address is NULL, and whoever uses
 * one asks first:
 *
 *	if (!dlsym)
 *		return;
 *
 * (Where CPython is, both libraries are.) Include this after the system's
 * headers or before, in every file of the agent that uses one of these.
 * What is newer than 2.28 and has no old version is not used at all: stat,
 * fstat, lstat, fstatat, mknod (2.33; statx is there), gettid (2.30),
 * close_range (2.34), arc4random (2.36).
 *
 * Headers of glibc 2.38 and newer make functions of C23 of those that read numbers
 * (0b101 is one there): __isoc23_strtoul. They are bound to what they were before.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "the versions below are those of x86-64"
#endif

/** Bind @p name to the version that all C libraries have; NULL where none is loaded. */
#define CTASK_BIND_OLD(name, version)                                                              \
	extern __typeof__(name) name __attribute__((weak));                                        \
	__asm__(".symver " #name "," #name "@" version)

CTASK_BIND_OLD(dladdr, "GLIBC_2.2.5");
CTASK_BIND_OLD(dladdr1, "GLIBC_2.3.3");
CTASK_BIND_OLD(dlclose, "GLIBC_2.2.5");
CTASK_BIND_OLD(dlerror, "GLIBC_2.2.5");
CTASK_BIND_OLD(dlinfo, "GLIBC_2.3.3");
#ifndef CTASK_DEFINES_DLOPEN /* the one file that puts its own before it */
CTASK_BIND_OLD(dlopen, "GLIBC_2.2.5");
#endif
CTASK_BIND_OLD(dlsym, "GLIBC_2.2.5");
CTASK_BIND_OLD(dlvsym, "GLIBC_2.2.5");

CTASK_BIND_OLD(pthread_attr_setstacksize, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_create, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_detach, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_getspecific, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_join, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_key_create, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_mutex_trylock, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_once, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_setspecific, "GLIBC_2.2.5");
CTASK_BIND_OLD(pthread_sigmask, "GLIBC_2.2.5");

/** Bind what newer headers make of a function to the version that all C libraries have. */
#define CTASK_BIND_NOT_C23(name, old) __asm__(".symver __isoc23_" #name "," old)

CTASK_BIND_NOT_C23(strtol, "strtol@GLIBC_2.2.5");
CTASK_BIND_NOT_C23(strtoul, "strtoul@GLIBC_2.2.5");
CTASK_BIND_NOT_C23(strtoll, "strtoll@GLIBC_2.2.5");
CTASK_BIND_NOT_C23(strtoull, "strtoull@GLIBC_2.2.5");
CTASK_BIND_NOT_C23(sscanf, "__isoc99_sscanf@GLIBC_2.7");
CTASK_BIND_NOT_C23(fscanf, "__isoc99_fscanf@GLIBC_2.7");

/* Not moved, and in libc of old: pthread_mutex_init, _lock, _unlock, _destroy,
 * pthread_self, pthread_equal, pthread_cond_*, pthread_attr_init, _destroy,
 * _setdetachstate, __register_atfork (pthread_atfork), dl_iterate_phdr. */

/** Native id of the calling thread, in its own pid namespace. */
static inline int ctask_gettid(void)
{
	return (int)syscall(SYS_gettid);
}

/**
 * False when the kernel no longer counts @p thread among those of this process: a little after its
 * last instruction. (Python 3.12 and newer warn of threads when a program forks.) Sets errno.
 */
static inline bool ctask_thread_is_counted(int thread)
{
	return !syscall(SYS_tgkill, getpid(), thread, 0) || errno != ESRCH;
}

/** fstat() and fstatat(); the C library has them as functions from 2.33 on only. 0, or -1 and errno. */
static inline int ctask_fstat(int fd, struct stat *ret)
{
	return (int)syscall(SYS_fstat, fd, ret);
}

static inline int ctask_fstatat(int dir, const char *path, struct stat *ret, int flags)
{
	return (int)syscall(SYS_newfstatat, dir, path, ret, flags);
}

#endif
