/* fuzz_core.c - core files: a small one that the input changes, or the input itself. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "reader/core.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];
static int fd = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	fd = memfd_create("core", MFD_CLOEXEC);
	if (fd < 0)
		exit(1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return 0;
}

/* A core with notes and two runs of memory, which need not be where it says. */
struct made {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[4];
	struct __attribute__((packed)) {
		Elf64_Nhdr head;
		char name[8];
		uint64_t count, page_bytes, rows[2][3];
		char paths[24];
	} files;
	struct __attribute__((packed)) {
		Elf64_Nhdr head;
		char name[8];
		Elf64_auxv_t auxv[2];
	} auxv;
	struct __attribute__((packed)) {
		Elf64_Nhdr head;
		char name[8];
		struct elf_prpsinfo info;
	} info;
	uint8_t memory[512];
};

static void make(struct made *m)
{
	const size_t notes = offsetof(struct made, files), memory = offsetof(struct made, memory);

	*m = (struct made){
		.ehdr = { .e_type = ET_CORE,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_phoff = sizeof(Elf64_Ehdr),
			  .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 4 },
		.phdr = { { .p_type = PT_NOTE,
			    .p_offset = notes,
			    .p_filesz = memory - notes,
			    .p_align = 4 },
			  { .p_type = PT_LOAD,
			    .p_offset = memory,
			    .p_vaddr = 0x1000,
			    .p_filesz = 256 },
			  { .p_type = PT_LOAD,
			    .p_offset = memory + 256,
			    .p_vaddr = 0x4000,
			    .p_filesz = 256 } },
		.files = { { 5, sizeof(m->files) - 20, NT_FILE },
			   "CORE",
			   2,
			   4096,
			   { { 0x1000, 0x2000, 0 }, { 0x2000, 0x3000, 1 } },
			   "/dev/null\0/etc/passwd" },
		.auxv = { { 5, sizeof(m->auxv) - 20, NT_AUXV },
			  "CORE",
			  { { AT_PHDR, { 0x1040 } } } },
		.info = { { 5, sizeof(m->info) - 20, NT_PRPSINFO }, "CORE", { .pr_pid = 7 } },
	};
	memcpy(m->ehdr.e_ident, ELFMAG "\2\1\1", 7);
}

/* The input is pairs (offset, byte); with a head of 0 it is the file itself. */
static int write_core(const uint8_t *data, size_t size)
{
	struct made m;

	if (ftruncate(fd, 0))
		return -1;
	if (data[0] == 0)
		return pwrite(fd, data + 1, size - 1, 0) == (ssize_t)size - 1 ? 0 : -1;
	make(&m);
	for (size_t i = 1; i + 3 <= size; i += 3)
		((uint8_t *)&m)[(data[i] | data[i + 1] << 8) % sizeof(m)] = data[i + 2];
	return pwrite(fd, &m, sizeof(m), 0) == sizeof(m) ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t places[] = { 0, 0x1000, 0x2000, 0x4000, -4096ull };
	struct ctask_memory *memory;
	struct ctask_core core;
	struct ctask_error err;
	uint8_t page[CTASK_PAGE];

	if (size < 2 || write_core(data, size))
		return -1;
	if (ctask_core_open(path, size % 2 ? "/dev/null" : NULL, &memory, &core, &err))
		return 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const struct ctask_page_run run = { .addr = places[i], .count = 1 };

		(void)memory->ops->read_runs(memory, &run, 1, page);
	}
	ctask_core_fini(&core);
	ctask_memory_destroy(memory);
	return 0;
}
