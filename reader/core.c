/* core.c - an ELF core file as a source of bytes. */
#include "reader/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <zlib.h>

#include "model/cleanup.h"
#include "reader/elf.h"
#include "reader/table.h"

enum {
	FILES_MAX = 1 << 16, /* mappings that NT_FILE may name */
	SEGMENTS_MAX = 1 << 20,
	NOTES_MAX = 1 << 28, /* bytes of all notes: 64 Ki paths of 4 KiB */
};

/* A run of memory that stands in a file: the core itself, or one that was mapped. */
struct piece {
	uint64_t start, end, offset;
	int file; /* index into files; -1 = the core */
};

struct mapped_file {
	char *path;
	int fd; /* -1: could not be opened, or is another file by now */
	bool opened;
	uint64_t base; /* address of its first byte, if has_base */
	bool has_base;
};

struct core_memory {
	struct ctask_memory memory;
	int fd;
	struct piece *loads; /* in the core: ascending, as the kernel writes them */
	size_t load_count;
	struct piece *maps; /* of mapped files, ascending */
	size_t map_count;
	struct mapped_file *files;
	size_t file_count;
};

static void core_destroy(struct ctask_memory *memory)
{
	struct core_memory *self = (struct core_memory *)memory;

	for (size_t i = 0; i < self->file_count; i++) {
		if (self->files[i].fd >= 0)
			close(self->files[i].fd);
		free(self->files[i].path);
	}
	if (self->fd >= 0)
		close(self->fd);
	free(self->files);
	free(self->loads);
	free(self->maps);
	free(self);
}

static const struct piece *find_piece(const struct piece *pieces, size_t count, uint64_t addr)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr < pieces[mid].start)
			high = mid;
		else if (addr >= pieces[mid].end)
			low = mid + 1;
		else
			return &pieces[mid];
	}
	return NULL;
}

/* Fill a page from @p piece; what lies behind the file's end reads as zeros, as in memory. */
static bool read_piece(int fd, const struct piece *piece, uint64_t addr, uint8_t *to)
{
	uint64_t left = piece->end - addr;
	size_t want = left < CTASK_PAGE ? (size_t)left : CTASK_PAGE;
	ssize_t got = pread(fd, to, want, (off_t)(piece->offset + (addr - piece->start)));

	if (got <= 0)
		return false;
	memset(to + got, 0, CTASK_PAGE - (size_t)got);
	return true;
}

/* The file's first page must be what the process had there, where the core has that page. */
static bool is_same_file(struct core_memory *self, const struct mapped_file *file)
{
	const struct piece *load =
		file->has_base ? find_piece(self->loads, self->load_count, file->base) : NULL;
	uint8_t then[CTASK_PAGE], now[CTASK_PAGE];
	const struct piece whole = { .end = CTASK_PAGE };

	if (!load || !read_piece(self->fd, load, file->base, then))
		return true;
	return read_piece(file->fd, &whole, 0, now) && !memcmp(then, now, sizeof(Elf64_Ehdr));
}

static int file_fd(struct core_memory *self, struct mapped_file *file)
{
	if (file->opened)
		return file->fd;
	file->opened = true;
	file->fd = ctask_open_regular(file->path, NULL);
	if (file->fd >= 0 && !is_same_file(self, file)) {
		close(file->fd);
		file->fd = -1;
	}
	return file->fd;
}

static bool read_page(struct core_memory *self, uint64_t addr, uint8_t *to)
{
	const struct piece *piece = find_piece(self->loads, self->load_count, addr);
	int fd;

	if (piece)
		return read_piece(self->fd, piece, addr, to);
	piece = find_piece(self->maps, self->map_count, addr);
	if (!piece)
		return false;
	fd = file_fd(self, &self->files[piece->file]);
	return fd >= 0 && read_piece(fd, piece, addr, to);
}

static ssize_t core_read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
			      size_t run_count, uint8_t *to)
{
	struct core_memory *self = (struct core_memory *)memory;
	ssize_t total = 0;

	for (size_t i = 0; i < run_count; i++)
		for (size_t page = 0; page < runs[i].count; page++) {
			if (!read_page(self, runs[i].addr + page * CTASK_PAGE, to + total))
				return total;
			total += CTASK_PAGE;
		}
	return total;
}

static const struct ctask_memory_ops core_ops = {
	.name = "core",
	.read_runs = core_read_runs,
	.destroy = core_destroy,
};

/* --- opening --- */

/* A gzip file is unpacked into memory that has no name: cores are read here and there. */
static int unpack(const char *path, int from, int *ret_fd, struct ctask_error *err)
{
	auto_fd fd = memfd_create("core", MFD_CLOEXEC);
	auto_fd own = fcntl(from, F_DUPFD_CLOEXEC, 0);
	gzFile packed = own < 0 ? NULL : gzdopen(own, "rb");
	char bytes[65536];
	int got, zerr = Z_OK;

	if (packed)
		(void)steal_fd(&own); /* gzclose() closes it */
	if (fd < 0 || !packed) {
		if (packed)
			gzclose(packed);
		return ctask_fail(err, errno, "'%s' cannot be opened: %s", path, strerror(errno));
	}
	while ((got = gzread(packed, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, (size_t)got) != got) {
			gzclose(packed);
			return ctask_fail(err, ENOMEM, "no room to unpack '%s'", path);
		}
	(void)gzerror(packed, &zerr);
	gzclose(packed);
	if (got < 0 || (zerr != Z_OK && zerr != Z_STREAM_END))
		return ctask_fail(err, ENODATA,
				  "'%s' cannot be unpacked: it is damaged or cut short", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int open_core(const char *path, int *ret_fd, struct stat *ret_stat, struct ctask_error *err)
{
	auto_fd fd = ctask_open_regular(path, ret_stat);
	uint8_t magic[4] = { 0 };

	if (fd == -ENOEXEC)
		return ctask_fail(err, ENOEXEC, "'%s' is no file", path);
	if (fd < 0)
		return ctask_fail(err, -fd, "'%s' cannot be opened: %s", path, strerror(-fd));
	if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic)) {
		if (magic[0] == 0x1f && magic[1] == 0x8b)
			return unpack(path, fd, ret_fd, err);
		if (!memcmp(magic, "\x28\xb5\x2f\xfd", 4))
			return ctask_fail(err, ENOEXEC,
					  "'%s' is compressed: unpack it first (zstd -d)", path);
		if (!memcmp(magic, "\x04\x22\x4d\x18", 4))
			return ctask_fail(err, ENOEXEC,
					  "'%s' is compressed: unpack it first (lz4 -d)", path);
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int read_loads(struct core_memory *self, Elf *elf, uint64_t file_bytes, const char *path,
		      struct ctask_error *err)
{
	size_t count;

	if (elf_getphdrnum(elf, &count) || count > SEGMENTS_MAX)
		return ctask_fail(err, ENOEXEC, "'%s' is no core file that can be read", path);
	self->loads = calloc(count + 1, sizeof(*self->loads));
	if (!self->loads)
		return ctask_fail(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr phdr;

		if (!gelf_getphdr(elf, (int)i, &phdr))
			return ctask_fail(err, ENODATA, "the core file '%s' is truncated", path);
		if (phdr.p_offset > file_bytes || phdr.p_filesz > file_bytes - phdr.p_offset)
			return ctask_fail(
				err, ENODATA,
				"the core file '%s' is truncated: it has %llu bytes, and its headers "
				"speak of %llu",
				path, (unsigned long long)file_bytes,
				(unsigned long long)(phdr.p_offset + phdr.p_filesz));
		if (phdr.p_type != PT_LOAD || !phdr.p_filesz ||
		    phdr.p_filesz > UINT64_MAX - phdr.p_vaddr)
			continue;
		self->loads[self->load_count++] = (struct piece){
			.start = phdr.p_vaddr,
			.end = phdr.p_vaddr + phdr.p_filesz,
			.offset = phdr.p_offset,
			.file = -1,
		};
	}
	return 0;
}

/*
 * Number of the file of this path, added if it is new; -1 when out of memory. Two
 * paths of one hash make one file twice, which does no harm.
 */
static int file_number(struct core_memory *self, struct ctask_table *by_hash, const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */
	struct mapped_file *moved;
	uint32_t known;

	for (const char *c = path; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3ull;
	hash |= 1; /* a key is not 0 */

	known = ctask_table_get(by_hash, hash, UINT32_MAX);
	if (known != UINT32_MAX && !strcmp(self->files[known].path, path))
		return (int)known;
	moved = realloc(self->files, (self->file_count + 1) * sizeof(*moved));
	if (!moved)
		return -1;
	self->files = moved;
	moved[self->file_count] = (struct mapped_file){ .path = strdup(path), .fd = -1 };
	if (!moved[self->file_count].path ||
	    ctask_table_put(by_hash, hash, (uint32_t)self->file_count)) {
		free(moved[self->file_count].path);
		return -1;
	}
	return (int)self->file_count++;
}

/* NT_FILE: count, page size, count times (start, end, offset in pages), then the paths. */
static int read_files(struct core_memory *self, const uint8_t *desc, size_t len,
		      struct ctask_table *by_hash)
{
	uint64_t head[2], row[3];
	size_t at;

	if (len < sizeof(head))
		return -ENOEXEC;
	memcpy(head, desc, sizeof(head));
	if (head[0] > FILES_MAX || head[0] * sizeof(row) > len - sizeof(head) || head[1] > 1 << 20)
		return -ENOEXEC;
	at = sizeof(head) + head[0] * sizeof(row);
	self->maps = calloc(head[0] + 1, sizeof(*self->maps));
	if (!self->maps)
		return -ENOMEM;
	for (uint64_t i = 0; i < head[0]; i++) {
		const char *path = (const char *)desc + at;
		size_t path_len = strnlen(path, len - at);
		int file;

		if (path_len == len - at)
			return -ENOEXEC;
		at += path_len + 1;
		memcpy(row, desc + sizeof(head) + i * sizeof(row), sizeof(row));
		file = file_number(self, by_hash, path);
		if (file < 0)
			return -ENOMEM;
		if (row[1] <= row[0])
			continue;
		self->maps[self->map_count++] = (struct piece){
			.start = row[0], .end = row[1], .offset = row[2] * head[1], .file = file
		};
		if (row[2] == 0 && !self->files[file].has_base) {
			self->files[file].base = row[0];
			self->files[file].has_base = true;
		}
	}
	return 0;
}

/* What the notes tell besides. */
struct notes {
	uint64_t phdr_addr; /* AT_PHDR: inside the main executable */
	bool has_files;
};

static int read_note(struct core_memory *self, const GElf_Nhdr *note, const uint8_t *desc,
		     struct ctask_core *core, struct notes *notes)
{
	struct ctask_table by_hash = { 0 };
	struct elf_prpsinfo info;
	int ret;

	switch (note->n_type) {
	case NT_FILE:
		if (notes->has_files)
			return 0;
		notes->has_files = true;
		ret = read_files(self, desc, note->n_descsz, &by_hash);
		ctask_table_fini(&by_hash);
		return ret;
	case NT_PRPSINFO:
		if (note->n_descsz < sizeof(info))
			return 0;
		memcpy(&info, desc, sizeof(info));
		core->pid = info.pr_pid;
		core->uid = (int64_t)info.pr_uid;
		snprintf(core->args, sizeof(core->args), "%.*s", (int)sizeof(info.pr_psargs),
			 info.pr_psargs);
		return 0;
	case NT_AUXV:
		for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= note->n_descsz;
		     at += sizeof(Elf64_auxv_t)) {
			Elf64_auxv_t entry;

			memcpy(&entry, desc + at, sizeof(entry));
			if (entry.a_type == AT_PHDR)
				notes->phdr_addr = entry.a_un.a_val;
		}
		return 0;
	default:
		return 0;
	}
}

static int read_notes(struct core_memory *self, Elf *elf, struct ctask_core *core,
		      struct notes *notes)
{
	size_t count = 0;
	uint64_t notes_bytes = 0;
	int ret = 0;

	if (elf_getphdrnum(elf, &count))
		return -ENOEXEC;
	for (size_t i = 0; !ret && i < count; i++) {
		size_t at = 0, name, desc;
		Elf_Data *data;
		GElf_Nhdr note;
		GElf_Phdr phdr;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_NOTE)
			continue;
		if (phdr.p_filesz > NOTES_MAX - notes_bytes)
			return -ENOEXEC;
		notes_bytes += phdr.p_filesz;
		data = elf_getdata_rawchunk(elf, (int64_t)phdr.p_offset, phdr.p_filesz, ELF_T_NHDR);
		while (data && !ret && (at = gelf_getnote(data, at, &note, &name, &desc)) > 0)
			if (note.n_namesz >= 5 && !memcmp((char *)data->d_buf + name, "CORE", 5))
				ret = read_note(self, &note, (uint8_t *)data->d_buf + desc, core,
						notes);
	}
	return ret;
}

/* The main executable may stand elsewhere by now: @p exe takes its place. */
static int replace_exe(struct core_memory *self, const struct notes *notes, const char *exe,
		       const struct piece **ret_main)
{
	const struct piece *piece = find_piece(self->maps, self->map_count, notes->phdr_addr);
	char *path;

	*ret_main = piece;
	if (!piece || !exe)
		return 0;
	path = strdup(exe);
	if (!path)
		return -ENOMEM;
	free(self->files[piece->file].path);
	self->files[piece->file].path = path;
	return 0;
}

/* Files with a first byte, likely ones first, in the form the search for Python wants. */
static int list_maps(const struct core_memory *self, const struct piece *main_piece,
		     struct ctask_core *core)
{
	core->maps = calloc(self->file_count + 1, sizeof(*core->maps));
	if (!core->maps)
		return -ENOMEM;
	for (int likely = 1; likely >= 0; likely--)
		for (size_t i = 0; i < self->file_count; i++) {
			const struct mapped_file *file = &self->files[i];
			bool is_main = main_piece && main_piece->file == (int)i;
			char *path;

			if (!file->has_base ||
			    (is_main || strstr(file->path, "python") != NULL) != likely)
				continue;
			path = strdup(file->path);
			if (!path)
				return -ENOMEM;
			core->maps[core->map_count++] =
				(struct ctask_mapping){ .start = file->base, .path = path };
			if (is_main)
				core->exe = path;
		}
	return 0;
}

/* A core, but of 32 bits or with the bytes the other way round. */
static bool is_foreign(int fd)
{
	uint8_t head[EI_NIDENT + 2];

	return pread(fd, head, sizeof(head), 0) == sizeof(head) && !memcmp(head, ELFMAG, SELFMAG) &&
	       (head[EI_CLASS] != ELFCLASS64 || head[EI_DATA] != ELFDATA2LSB) &&
	       (head[EI_NIDENT] | head[EI_NIDENT + 1]) == ET_CORE;
}

static int read_core(struct core_memory *self, const char *path, const char *exe, uint64_t bytes,
		     struct ctask_core *core, struct ctask_error *err)
{
	const struct piece *main_piece;
	struct notes notes = { 0 };
	Elf *elf = NULL;
	GElf_Ehdr ehdr;
	int ret;

	if (is_foreign(self->fd))
		return ctask_fail(err, ENOEXEC,
				  "'%s' is a core file of another machine: ctask reads x86-64",
				  path);
	if (elf_version(EV_CURRENT) != EV_NONE && ctask_elf_is_modest(self->fd))
		elf = elf_begin(self->fd, ELF_C_READ, NULL);
	if (!elf || !gelf_getehdr(elf, &ehdr) || ehdr.e_type != ET_CORE) {
		elf_end(elf);
		return ctask_fail(err, ENOEXEC, "'%s' is no core file", path);
	}
	if (ehdr.e_machine != EM_X86_64) {
		elf_end(elf);
		return ctask_fail(err, ENOEXEC,
				  "'%s' is a core file of another machine: ctask reads x86-64",
				  path);
	}
	/* libelf would make do with the headers that are there. */
	if (ehdr.e_phnum != PN_XNUM &&
	    (ehdr.e_phoff > bytes || (bytes - ehdr.e_phoff) / sizeof(Elf64_Phdr) < ehdr.e_phnum)) {
		elf_end(elf);
		return ctask_fail(err, ENODATA, "the core file '%s' is truncated", path);
	}
	ret = read_loads(self, elf, bytes, path, err);
	if (!ret) {
		ret = read_notes(self, elf, core, &notes);
		if (!ret)
			ret = replace_exe(self, &notes, exe, &main_piece);
		if (!ret)
			ret = list_maps(self, main_piece, core);
		if (ret)
			ctask_fail(err, -ret,
				   ret == -ENOMEM ? "out of memory"
						  : "the notes of core file '%s' make no sense",
				   path);
	}
	elf_end(elf);
	return ret;
}

int ctask_core_open(const char *path, const char *exe, struct ctask_memory **ret_memory,
		    struct ctask_core *ret_core, struct ctask_error *err)
{
	struct core_memory *self = calloc(1, sizeof(*self));
	struct stat st, unpacked;
	int ret;

	*ret_core = (struct ctask_core){ .uid = -1 };
	if (!self)
		return ctask_fail(err, ENOMEM, "out of memory");
	self->memory.ops = &core_ops;
	self->fd = -1;
	ret = open_core(path, &self->fd, &st, err);
	if (!ret && fstat(self->fd, &unpacked))
		ret = ctask_fail(err, errno, "'%s' cannot be read", path);
	if (!ret)
		ret = read_core(self, path, exe, (uint64_t)unpacked.st_size, ret_core, err);
	if (ret) {
		core_destroy(&self->memory);
		ctask_core_fini(ret_core);
		return ret;
	}
	ret_core->mtime_us = st.st_mtim.tv_sec * 1000000ll + st.st_mtim.tv_nsec / 1000;
	*ret_memory = &self->memory;
	return 0;
}

void ctask_core_fini(struct ctask_core *core)
{
	ctask_mappings_free(core->maps, core->map_count);
	core->maps = NULL;
	core->map_count = 0;
	core->exe = NULL;
}
