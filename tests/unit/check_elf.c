/* check_elf.c - symbols of mapped images and of files, honest ones and others. */
#include "reader/elf.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/made.h"

int main(void);

static struct ctask_memory *memory;
static struct ctask_pages pages;

static void own_process(void)
{
	ck_assert_int_eq(ctask_memory_create_process(getpid(), &memory, NULL), 0);
	ck_assert_int_eq(ctask_pages_init(&pages, memory), 0);
}

static void down(void)
{
	ctask_pages_fini(&pages);
	ctask_memory_destroy(memory);
}

static uint64_t base_of(const void *in_it)
{
	Dl_info info;

	ck_assert_int_ne(dladdr(in_it, &info), 0);
	return (uintptr_t)info.dli_fbase;
}

START_TEST(an_exported_symbol_of_a_library)
{
	void *zlib = dlopen("libz.so.1", RTLD_NOW), *want;
	uint64_t addr = 0, base;

	ck_assert_ptr_nonnull(zlib);
	want = dlsym(zlib, "zlibVersion");
	base = base_of(want);
	own_process();
	ck_assert_int_eq(ctask_elf_exported(&pages, base, "zlibVersion", &addr), 0);
	ck_assert_uint_eq(addr, (uintptr_t)want);
	addr = 5;
	ck_assert_int_eq(ctask_elf_exported(&pages, base, "zlibVersio", &addr), -ENOENT);
	/* Used there, but defined elsewhere. */
	ck_assert_int_eq(ctask_elf_exported(&pages, base, "malloc", &addr), -ENOENT);
	ck_assert_int_eq(ctask_elf_exported(&pages, base + CTASK_PAGE, "zlibVersion", &addr),
			 -ENOEXEC);
	ck_assert_int_eq(ctask_elf_exported(&pages, 0, "zlibVersion", &addr), -ENOEXEC);
	ck_assert_uint_eq(addr, 5);
	down();
}
END_TEST

/* The kernel's own image: its pointers have not been relocated. */
START_TEST(an_image_that_no_linker_touched)
{
	uint64_t base = getauxval(AT_SYSINFO_EHDR), addr = 0;

	if (!base)
		return;
	own_process();
	ck_assert_int_eq(ctask_elf_exported(&pages, base, "__vdso_clock_gettime", &addr), 0);
	ck_assert_uint_gt(addr, base);
	ck_assert_uint_lt(addr, base + 16 * CTASK_PAGE);
	down();
}
END_TEST

/* --- images made by hand --- */

enum { BASE = 0x400000, CHAIN = 8 };

/* One symbol, "needle", in an image that is found by its GNU hash table; at BASE in memory. */
static struct made_image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[2];
	Elf64_Dyn dyn[5];
	Elf64_Sym sym[2];
	char names[16];
	struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
		uint64_t bloom[1];
		uint32_t bucket[1], chain[CHAIN];
	} gnu;
	uint32_t hash[2];
} image;

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	while (*name)
		hash = hash * 33 + (unsigned char)*name++;
	return hash;
}

#define AT(member) (BASE + offsetof(struct made_image, member))

static void make_image(void)
{
	image = (struct made_image){
		.ehdr = { .e_phoff = offsetof(struct made_image, phdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2 },
		.phdr = { { .p_type = PT_LOAD, .p_memsz = sizeof(image) },
			  { .p_type = PT_DYNAMIC, .p_vaddr = offsetof(struct made_image, dyn) } },
		.dyn = { { DT_SYMTAB, { AT(sym) } },
			 { DT_STRTAB, { AT(names) } },
			 { DT_GNU_HASH, { AT(gnu) } } },
		.sym = { [1] = { .st_name = 1, .st_shndx = 1, .st_value = 0x1234 } },
		.names = "\0needle",
		.gnu = { .buckets = 1,
			 .first = 1,
			 .bloom_words = 1,
			 .bucket = { 1 },
			 .chain = { gnu_hash("needle") | 1 } },
		.hash = { 1, 2 },
	};
	memcpy(image.ehdr.e_ident, ELFMAG "\2\1\1", 7);
}

static int look(uint64_t *addr)
{
	static uint8_t bytes[CTASK_PAGE];
	const struct ctask_segment segment = { BASE, bytes, sizeof(bytes) };
	int ret;

	memcpy(bytes, &image, sizeof(image));
	ck_assert_int_eq(ctask_memory_create_bytes(&segment, 1, &memory, NULL), 0);
	ck_assert_int_eq(ctask_pages_init(&pages, memory), 0);
	pages.steps_allowed = 1 << 20;
	ret = ctask_elf_exported(&pages, BASE, "needle", addr);
	down();
	return ret;
}

START_TEST(a_made_image)
{
	uint64_t addr;

	make_image();
	ck_assert_int_eq(look(&addr), 0);
	ck_assert_uint_eq(addr, BASE + 0x1234);
	/* By the old hash table. */
	image.dyn[2] = (Elf64_Dyn){ DT_HASH, { AT(hash) } };
	ck_assert_int_eq(look(&addr), 0);
	ck_assert_uint_eq(addr, BASE + 0x1234);
	/* Linked for another place. */
	image.phdr[0].p_vaddr = 0x10000;
	image.phdr[1].p_vaddr += 0x10000;
	ck_assert_int_eq(look(&addr), 0);
	ck_assert_uint_eq(addr, BASE - 0x10000 + 0x1234);
}
END_TEST

#define FIELD(member, value) offsetof(struct made_image, member), sizeof(image.member), value

static const struct {
	const char *why;
	size_t field, width;
	uint64_t value;
	int want;
} hostile[] = {
	{ "no magic", FIELD(ehdr.e_ident[0], 0), -ENOEXEC },
	{ "32 bits", FIELD(ehdr.e_ident[EI_CLASS], ELFCLASS32), -ENOEXEC },
	{ "headers of another size", FIELD(ehdr.e_phentsize, 1), -ENOEXEC },
	{ "no headers", FIELD(ehdr.e_phnum, 0), -ENOEXEC },
	{ "headers without end", FIELD(ehdr.e_phnum, 0xffff), -ENOEXEC },
	{ "headers past all addresses", FIELD(ehdr.e_phoff, UINT64_MAX - BASE - 20), -ENOEXEC },
	{ "headers elsewhere", FIELD(ehdr.e_phoff, 1ull << 40), -ENOEXEC },
	{ "nothing loaded", FIELD(phdr[0].p_type, PT_NOTE), -ENOEXEC },
	{ "no dynamic part", FIELD(phdr[1].p_type, PT_NOTE), -ENOEXEC },
	{ "a dynamic part elsewhere", FIELD(phdr[1].p_vaddr, 1ull << 63), -ENOEXEC },
	{ "no symbols", FIELD(dyn[0].d_tag, DT_DEBUG), -ENOENT },
	{ "no names", FIELD(dyn[1].d_tag, DT_DEBUG), -ENOENT },
	{ "no hash table", FIELD(dyn[2].d_tag, DT_DEBUG), -ENOENT },
	{ "no buckets", FIELD(gnu.buckets, 0), -ENOENT },
	{ "buckets without end", FIELD(gnu.buckets, UINT32_MAX), -ENOENT },
	{ "a bloom filter without end", FIELD(gnu.bloom_words, UINT32_MAX), -ENOENT },
	{ "a first symbol behind the bucket's", FIELD(gnu.first, 2), -ENOENT },
	{ "a bucket far off", FIELD(gnu.bucket[0], UINT32_MAX), -ENOENT },
	{ "a chain without its symbol", FIELD(gnu.chain[0], 1), -ENOENT },
	{ "a chain without end", FIELD(gnu.chain[0], 2), -ENOENT },
	{ "a name far off", FIELD(sym[1].st_name, UINT32_MAX), -ENOENT },
	{ "not defined", FIELD(sym[1].st_shndx, SHN_UNDEF), -ENOENT },
};

START_TEST(a_hostile_image)
{
	uint64_t addr = 7;
	int ret;

	make_image();
	memcpy((uint8_t *)&image + hostile[_i].field, &hostile[_i].value, hostile[_i].width);
	ret = look(&addr);
	ck_assert_msg(ret == hostile[_i].want, "%s: %d", hostile[_i].why, ret);
	ck_assert_uint_eq(addr, 7);
}
END_TEST

START_TEST(a_hash_table_without_end)
{
	uint64_t addr;

	make_image();
	image.dyn[2] = (Elf64_Dyn){ DT_HASH, { AT(hash) } };
	image.hash[1] = UINT32_MAX;
	image.sym[1].st_name = 0;
	ck_assert_int_eq(look(&addr), -ENOENT);
}
END_TEST

/* --- files --- */

START_TEST(symbols_and_sections_of_a_file)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t base = base_of((const void *)(uintptr_t)main), addr = 0;

	ck_assert_int_eq(ctask_elf_in_file(fd, base, "main", NULL, &addr), 0);
	ck_assert_uint_eq(addr, (uintptr_t)main);
	ck_assert_int_eq(ctask_elf_in_file(fd, base, NULL, ".text", &addr), 0);
	ck_assert_uint_le(addr, (uintptr_t)main);
	ck_assert_int_eq(ctask_elf_in_file(fd, base, "no such symbol", ".nosuchsection", &addr),
			 -ENOENT);
	close(fd);
}
END_TEST

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

START_TEST(files_that_are_none)
{
	Elf64_Ehdr ehdr = {
		.e_shoff = 64, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 1, .e_type = ET_DYN
	};
	uint64_t addr = 7;
	int fd = file_of("text", 4);

	ck_assert(ctask_elf_in_file(fd, BASE, "main", ".text", &addr) < 0);
	close(fd);
	memcpy(ehdr.e_ident, ELFMAG "\2\1\1", 7);
	fd = file_of(&ehdr, sizeof(ehdr)); /* its sections are missing */
	ck_assert(ctask_elf_is_modest(fd));
	ck_assert(ctask_elf_in_file(fd, BASE, "main", ".text", &addr) < 0);
	close(fd);
	ehdr.e_shnum = 0; /* the first section says how many there are: any number */
	fd = file_of(&ehdr, sizeof(ehdr));
	ck_assert(!ctask_elf_is_modest(fd));
	ck_assert(ctask_elf_in_file(fd, BASE, "main", ".text", &addr) < 0);
	close(fd);
	ck_assert(ctask_elf_in_file(-1, BASE, "main", ".text", &addr) < 0);
	ck_assert_uint_eq(addr, 7);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("elf");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, an_exported_symbol_of_a_library);
	tcase_add_test(tests, an_image_that_no_linker_touched);
	tcase_add_test(tests, a_made_image);
	tcase_add_loop_test(tests, a_hostile_image, 0, ARRAY_SIZE(hostile));
	tcase_add_test(tests, a_hash_table_without_end);
	tcase_add_test(tests, symbols_and_sections_of_a_file);
	tcase_add_test(tests, files_that_are_none);
	return made_run("elf", tests);
}
