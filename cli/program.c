/* program.c - a program that is about to be run: which file it is, and whether a library can be put into it. */
#include "cli/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "model/cleanup.h"

enum { SCRIPTS_DEEP = 4, HEADERS_MAX = 256 };

static bool is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

int ctask_program_find(const char *name, char path[CTASK_PROGRAM_PATH])
{
	const char *dirs = getenv("PATH");
	int ret = -ENOENT;

	if (strchr(name, '/')) {
		snprintf(path, CTASK_PROGRAM_PATH, "%s", name);
		if (access(path, X_OK) == 0 && is_file(path))
			return 0;
		return access(path, F_OK) == 0 ? -EACCES : -errno;
	}
	for (const char *at = dirs ? dirs : "/bin:/usr/bin"; *name;) {
		size_t len = strcspn(at, ":");

		/* An empty one is the current directory. */
		snprintf(path, CTASK_PROGRAM_PATH, "%.*s%s%s", (int)len, at, len ? "/" : "", name);
		if (is_file(path)) {
			if (access(path, X_OK) == 0)
				return 0;
			ret = -EACCES;
		}
		if (!at[len])
			break;
		at += len + 1;
	}
	return ret;
}

/* The kernel makes the dynamic linker careful where a program gets rights that its user has not. */
static bool gains_rights(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	if ((st.st_mode & S_ISUID && st.st_uid != geteuid()) ||
	    ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getegid()))
		return true;
	return geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static const char *elf_refuses(int fd, const Elf64_Ehdr *head)
{
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != EM_X86_64)
		return "is for another kind of machine than the agent";
	for (int i = 0; i < head->e_phnum && i < HEADERS_MAX; i++) {
		Elf64_Phdr part;
		char linker[256] = "";

		if (pread(fd, &part, sizeof(part),
			  (off_t)(head->e_phoff + (size_t)i * sizeof(part))) != sizeof(part))
			break;
		if (part.p_type != PT_INTERP)
			continue;
		if (part.p_filesz < sizeof(linker))
			(void)!pread(fd, linker, part.p_filesz, (off_t)part.p_offset);
		return strstr(linker, "ld-musl") ? "is linked with musl, not with glibc" : NULL;
	}
	return "is linked statically";
}

const char *ctask_program_refuses(const char *path)
{
	char start[256] = "", next[CTASK_PROGRAM_PATH];

	for (int depth = 0; depth < SCRIPTS_DEEP; depth++) {
		auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		ssize_t len = fd < 0 ? -1 : pread(fd, start, sizeof(start) - 1, 0);
		const char *word;

		if (len < 0)
			return NULL; /* it may be run but not read */
		start[len] = '\0';
		if (len >= (ssize_t)sizeof(Elf64_Ehdr) && !memcmp(start, ELFMAG, SELFMAG)) {
			Elf64_Ehdr head;

			memcpy(&head, start, sizeof(head));
			return gains_rights(fd) ? "runs with rights that its caller has not"
						: elf_refuses(fd, &head);
		}
		if (strncmp(start, "#!", 2))
			return NULL;
		word = start + 2 + strspn(start + 2, " \t");
		snprintf(next, sizeof(next), "%.*s", (int)strcspn(word, " \t\n"), word);
		path = next;
	}
	return NULL;
}
