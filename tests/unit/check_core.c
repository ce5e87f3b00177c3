/* check_core.c - core files: what is read of an honest one, and how others are refused. */
#include "reader/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/unit/made.h"

enum { LOADED = 0x10000, MAPPED = 0x20000, FILE_PAGES = 2 };

/* A core of a process with one page in it, and two pages that are those of a mapped file. */
static struct made_core {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[2];
	struct __attribute__((packed)) {
		Elf64_Nhdr head;
		char name[8];
		uint64_t count, page_bytes;
		struct {
			uint64_t start, end, page;
		} rows[1];
		char path[128];
	} files;
	struct __attribute__((packed)) {
		Elf64_Nhdr head;
		char name[8];
		struct elf_prpsinfo info;
	} info;
	struct __attribute__((packed)) {
		Elf64_Nhdr head;
		char name[8];
		Elf64_auxv_t auxv[2];
	} auxv;
	uint8_t page[CTASK_PAGE];
} core;

static char folder[] = "/tmp/check_core.XXXXXX";
static char core_path[64], file_path[64];

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

static void up(void)
{
	uint8_t bytes[FILE_PAGES * CTASK_PAGE];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(core_path, sizeof(core_path), "%s/core", folder);
	snprintf(file_path, sizeof(file_path), "%s/python3", folder);
	memset(bytes, 'f', sizeof(bytes));
	write_file(file_path, bytes, sizeof(bytes));
	core = (struct made_core){
		.ehdr = { .e_type = ET_CORE,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_phoff = offsetof(struct made_core, phdr),
			  .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2 },
		.phdr = { { .p_type = PT_NOTE,
			    .p_offset = offsetof(struct made_core, files),
			    .p_filesz = offsetof(struct made_core, page) -
					offsetof(struct made_core, files),
			    .p_align = 4 },
			  { .p_type = PT_LOAD,
			    .p_offset = offsetof(struct made_core, page),
			    .p_vaddr = LOADED,
			    .p_filesz = CTASK_PAGE,
			    .p_memsz = 2 * CTASK_PAGE } },
		.files = { .head = { 5, sizeof(core.files) - 20, NT_FILE },
			   .name = "CORE",
			   .count = 1,
			   .page_bytes = CTASK_PAGE,
			   .rows = { { MAPPED, MAPPED + FILE_PAGES * CTASK_PAGE, 0 } } },
		.info = { .head = { 5, sizeof(core.info) - 20, NT_PRPSINFO },
			  .name = "CORE",
			  .info = { .pr_pid = 4242, .pr_uid = 1000 } },
		.auxv = { .head = { 5, sizeof(core.auxv) - 20, NT_AUXV },
			  .name = "CORE",
			  .auxv = { { AT_PHDR, { MAPPED + 64 } } } },
	};
	memcpy(core.ehdr.e_ident, ELFMAG "\2\1\1", 7);
	memset(core.info.info.pr_psargs, 'x', sizeof(core.info.info.pr_psargs)); /* no final NUL */
	snprintf(core.files.path, sizeof(core.files.path), "%s", file_path);
	memset(core.page, 'c', sizeof(core.page));
}

static void down(void)
{
	unlink(core_path);
	unlink(file_path);
	rmdir(folder);
}

static struct ctask_memory *memory;
static struct ctask_core facts;
static struct ctask_error err;

static int open_written(const char *exe)
{
	return ctask_core_open(core_path, exe, &memory, &facts, &err);
}

static int open_core(void)
{
	write_file(core_path, &core, sizeof(core));
	return open_written(NULL);
}

static void close_core(void)
{
	ctask_core_fini(&facts);
	ctask_memory_destroy(memory);
}

/* The first byte of the page at @p addr; -1 when it cannot be read. */
static int look_at(uint64_t addr)
{
	const struct ctask_page_run run = { .addr = addr, .count = 1 };
	uint8_t page[CTASK_PAGE];

	return memory->ops->read_runs(memory, &run, 1, page) == CTASK_PAGE ? page[0] : -1;
}

static void check_honest(void)
{
	ck_assert_int_eq(facts.pid, 4242);
	ck_assert_int_eq((int)facts.uid, 1000);
	ck_assert_uint_eq(strlen(facts.args), 80);
	ck_assert_uint_eq(facts.map_count, 1);
	ck_assert_uint_eq(facts.maps[0].start, MAPPED);
	ck_assert_str_eq(facts.maps[0].path, file_path);
	ck_assert_str_eq(facts.exe, file_path);
	ck_assert_int_eq(look_at(LOADED), 'c');
	ck_assert_int_eq(look_at(LOADED + CTASK_PAGE), -1); /* left out of the core */
	ck_assert_int_eq(look_at(MAPPED), 'f');
	ck_assert_int_eq(look_at(MAPPED + CTASK_PAGE), 'f');
	ck_assert_int_eq(look_at(MAPPED + 2 * CTASK_PAGE), -1);
	ck_assert_int_eq(look_at(0), -1);
	ck_assert_int_eq(look_at(UINT64_MAX - 4095), -1);
}

START_TEST(an_honest_core)
{
	ck_assert_msg(open_core() == 0, "%s", err.text);
	check_honest();
	close_core();
}
END_TEST

START_TEST(packed_by_gzip)
{
	gzFile packed = gzopen(core_path, "wbe");

	ck_assert_int_eq(gzwrite(packed, &core, sizeof(core)), sizeof(core));
	gzclose(packed);
	ck_assert_msg(open_written(NULL) == 0, "%s", err.text);
	check_honest();
	close_core();
	ck_assert_int_eq(truncate(core_path, 200), 0);
	ck_assert_int_eq(open_written(NULL), -ENODATA);
}
END_TEST

START_TEST(another_file_stands_for_the_executable)
{
	char other[64];
	uint8_t bytes[CTASK_PAGE];

	snprintf(other, sizeof(other), "%s/other", folder);
	memset(bytes, 'o', sizeof(bytes));
	write_file(other, bytes, sizeof(bytes));
	write_file(core_path, &core, sizeof(core));
	ck_assert_int_eq(open_written(other), 0);
	ck_assert_str_eq(facts.exe, other);
	ck_assert_int_eq(look_at(MAPPED), 'o');
	close_core();
	unlink(other);
}
END_TEST

/* The core has the first page of the file itself, and it is another one by now. */
START_TEST(a_file_that_was_replaced_is_not_read)
{
	core.phdr[1].p_vaddr = MAPPED;
	ck_assert_int_eq(open_core(), 0);
	ck_assert_int_eq(look_at(MAPPED), 'c');
	ck_assert_int_eq(look_at(MAPPED + CTASK_PAGE), -1);
	close_core();
}
END_TEST

START_TEST(what_is_no_regular_file_is_not_opened)
{
	static const char *const paths[] = { "/dev/zero", "/dev/tty", "/", "/proc/self/fd/999",
					     "" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		memset(core.files.path, 0, sizeof(core.files.path));
		snprintf(core.files.path, sizeof(core.files.path), "%s", paths[i]);
		ck_assert_int_eq(open_core(), 0);
		ck_assert_int_eq(look_at(MAPPED), -1);
		close_core();
	}
	/* A FIFO would block; as a core too. */
	unlink(file_path);
	unlink(core_path);
	ck_assert_int_eq(mkfifo(file_path, 0600), 0);
	snprintf(core.files.path, sizeof(core.files.path), "%s", file_path);
	ck_assert_int_eq(open_core(), 0);
	ck_assert_int_eq(look_at(MAPPED), -1);
	close_core();
	ck_assert_int_eq(ctask_core_open(file_path, NULL, &memory, &facts, &err), -ENOEXEC);
	ck_assert_int_eq(ctask_core_open(folder, NULL, &memory, &facts, &err), -ENOEXEC);
	ck_assert_int_eq(ctask_core_open("/nonexistent/core", NULL, &memory, &facts, &err),
			 -ENOENT);
}
END_TEST

/* Cut anywhere it is refused, and what is left is not read past. */
START_TEST(a_truncated_core)
{
	write_file(core_path, &core, sizeof(core));
	for (size_t len = offsetof(struct made_core, page) + CTASK_PAGE - 1; len > 0;
	     len -= len > 1500 ? 97 : 1) {
		int ret;

		ck_assert_int_eq(truncate(core_path, (off_t)len), 0);
		ret = open_written(NULL);
		ck_assert_msg(ret == -ENODATA || ret == -ENOEXEC, "%zu bytes: %d", len, ret);
		ck_assert_msg(len < sizeof(core.ehdr) + sizeof(core.phdr) || ret == -ENODATA,
			      "%zu bytes: %s", len, err.text);
	}
	ck_assert_int_eq(truncate(core_path, 0), 0);
	ck_assert_int_eq(open_written(NULL), -ENOEXEC);
}
END_TEST

#define FIELD(member, value) offsetof(struct made_core, member), sizeof(core.member), value

static const struct {
	const char *why;
	size_t field, width;
	uint64_t value;
	int want;
	const char *says;
} others[] = {
	{ "text", FIELD(ehdr.e_ident[1], 'x'), -ENOEXEC, "no core file" },
	{ "a program", FIELD(ehdr.e_type, ET_EXEC), -ENOEXEC, "no core file" },
	{ "aarch64", FIELD(ehdr.e_machine, EM_AARCH64), -ENOEXEC, "another machine" },
	{ "32 bits", FIELD(ehdr.e_ident[EI_CLASS], ELFCLASS32), -ENOEXEC, "another machine" },
	{ "any number of sections", FIELD(ehdr.e_shoff, 64), -ENOEXEC, "no core file" },
	{ "headers elsewhere", FIELD(ehdr.e_phoff, 1ull << 40), -ENODATA, "truncated" },
	{ "too many headers", FIELD(ehdr.e_phnum, 5000), -ENODATA, "truncated" },
	{ "a segment behind the end", FIELD(phdr[1].p_offset, 1ull << 62), -ENODATA, "truncated" },
	{ "a segment past all offsets", FIELD(phdr[1].p_filesz, UINT64_MAX), -ENODATA,
	  "truncated" },
	{ "notes past all offsets", FIELD(phdr[0].p_filesz, UINT64_MAX - 10), -ENODATA,
	  "truncated" },
	{ "more files than its note has room for", FIELD(files.count, 1000), -ENOEXEC, "notes" },
	{ "files times 24 is 0", FIELD(files.count, 1ull << 61), -ENOEXEC, "notes" },
	{ "absurd pages", FIELD(files.page_bytes, UINT64_MAX), -ENOEXEC, "notes" },
	/* These are cores all the same. */
	{ "a segment that wraps round", FIELD(phdr[1].p_vaddr, UINT64_MAX - 100), 0, NULL },
	{ "a file mapped backwards", FIELD(files.rows[0].end, 0), 0, NULL },
	{ "a page of the file past all offsets", FIELD(files.rows[0].page, UINT64_MAX / 2), 0,
	  NULL },
	{ "a note longer than all", FIELD(files.head.n_descsz, UINT32_MAX), 0, NULL },
	{ "a name longer than all", FIELD(files.head.n_namesz, UINT32_MAX), 0, NULL },
	{ "a note of nobody", FIELD(files.name[0], 'L'), 0, NULL },
	{ "no files", FIELD(files.count, 0), 0, NULL },
};

START_TEST(another_core)
{
	int ret;

	memcpy((uint8_t *)&core + others[_i].field, &others[_i].value, others[_i].width);
	ret = open_core();
	ck_assert_msg(ret == others[_i].want, "%s: %d, %s", others[_i].why, ret, err.text);
	ck_assert_msg(!others[_i].says || strstr(err.text, others[_i].says), "%s: %s",
		      others[_i].why, err.text);
	if (!ret) {
		(void)look_at(LOADED);
		(void)look_at(MAPPED);
		(void)look_at(UINT64_MAX - 4095);
		close_core();
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("core");

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, up, down);
	tcase_add_test(tests, an_honest_core);
	tcase_add_test(tests, packed_by_gzip);
	tcase_add_test(tests, another_file_stands_for_the_executable);
	tcase_add_test(tests, a_file_that_was_replaced_is_not_read);
	tcase_add_test(tests, what_is_no_regular_file_is_not_opened);
	tcase_add_test(tests, a_truncated_core);
	tcase_add_loop_test(tests, another_core, 0, ARRAY_SIZE(others));
	return made_run("core", tests);
}
