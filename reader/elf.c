/* elf.c - symbols of the ELF files that a process has mapped, from its memory. */
#include "reader/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum {
	HEADERS_MAX = 128, /* program headers of one file */
	DYNAMIC_MAX = 512, /* entries of PT_DYNAMIC */
	CHAIN_STEPS_MAX = 1 << 16,
	BUCKETS_MAX = 1 << 24,
};

/* An image's dynamic part, as addresses in the target. */
struct dynamic {
	uint64_t bias;
	uint64_t low, high; /* of its PT_LOADs, without bias */
	uint64_t symtab, strtab, gnu_hash, hash;
};

static int read_headers(struct ctask_pages *pages, uint64_t base, struct dynamic *ret,
			uint64_t *ret_dynamic)
{
	Elf64_Ehdr ehdr;
	bool loaded = false;

	if (ctask_pages_read(pages, base, &ehdr, sizeof(ehdr)) ||
	    memcmp(ehdr.e_ident, ELFMAG, SELFMAG) || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_phentsize != sizeof(Elf64_Phdr) || ehdr.e_phnum > HEADERS_MAX)
		return -ENOEXEC;
	*ret_dynamic = 0;
	for (unsigned i = 0; i < ehdr.e_phnum; i++) {
		Elf64_Phdr phdr;

		if (ctask_pages_read(pages, base + ehdr.e_phoff + i * sizeof(phdr), &phdr,
				     sizeof(phdr)))
			return -ENOEXEC;
		if (phdr.p_type == PT_LOAD) {
			if (!loaded) {
				ret->bias = base - (phdr.p_vaddr - phdr.p_offset);
				ret->low = phdr.p_vaddr;
			}
			loaded = true;
			ret->high = phdr.p_vaddr + phdr.p_memsz;
		} else if (phdr.p_type == PT_DYNAMIC) {
			*ret_dynamic = phdr.p_vaddr;
		}
	}
	*ret_dynamic += ret->bias;
	return loaded && *ret_dynamic != ret->bias ? 0 : -ENOEXEC;
}

/* glibc has added the bias to these pointers already, other linkers have not. */
static uint64_t absolute(const struct dynamic *dyn, uint64_t pointer)
{
	return pointer >= dyn->low && pointer < dyn->high ? pointer + dyn->bias : pointer;
}

static int read_dynamic(struct ctask_pages *pages, uint64_t base, struct dynamic *ret)
{
	uint64_t at;
	int err;

	*ret = (struct dynamic){ 0 };
	err = read_headers(pages, base, ret, &at);
	if (err)
		return err;
	for (int i = 0; i < DYNAMIC_MAX; i++) {
		Elf64_Dyn entry;

		if (ctask_pages_read(pages, at + (uint64_t)i * sizeof(entry), &entry,
				     sizeof(entry)))
			return -ENOEXEC;
		switch (entry.d_tag) {
		case DT_NULL:
			return ret->symtab && ret->strtab ? 0 : -ENOENT;
		case DT_SYMTAB:
			ret->symtab = absolute(ret, entry.d_un.d_ptr);
			break;
		case DT_STRTAB:
			ret->strtab = absolute(ret, entry.d_un.d_ptr);
			break;
		case DT_GNU_HASH:
			ret->gnu_hash = absolute(ret, entry.d_un.d_ptr);
			break;
		case DT_HASH:
			ret->hash = absolute(ret, entry.d_un.d_ptr);
			break;
		default:
			break;
		}
	}
	return -ENOEXEC;
}

/* The value of symbol @p index if it is defined and has this name; else 0. */
static uint64_t symbol_named(struct ctask_pages *pages, const struct dynamic *dyn, uint32_t index,
			     const char *name)
{
	size_t len = strlen(name) + 1;
	char bytes[64];
	Elf64_Sym sym;

	if (len > sizeof(bytes) ||
	    ctask_pages_read(pages, dyn->symtab + (uint64_t)index * sizeof(sym), &sym,
			     sizeof(sym)) ||
	    sym.st_shndx == SHN_UNDEF || !sym.st_value ||
	    ctask_pages_read(pages, dyn->strtab + sym.st_name, bytes, len) ||
	    memcmp(bytes, name, len))
		return 0;
	return sym.st_value + dyn->bias;
}

static uint32_t gnu_hash_of(const char *name)
{
	uint32_t hash = 5381;

	while (*name)
		hash = hash * 33 + (unsigned char)*name++;
	return hash;
}

static uint64_t find_by_gnu_hash(struct ctask_pages *pages, const struct dynamic *dyn,
				 const char *name)
{
	struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
	} head;
	uint32_t hash = gnu_hash_of(name), index, entry;
	uint64_t buckets, chains;

	if (ctask_pages_read(pages, dyn->gnu_hash, &head, sizeof(head)) || !head.buckets ||
	    head.buckets > BUCKETS_MAX || head.bloom_words > BUCKETS_MAX)
		return 0;
	buckets = dyn->gnu_hash + sizeof(head) + head.bloom_words * 8ull;
	chains = buckets + head.buckets * 4ull;
	if (ctask_pages_read(pages, buckets + hash % head.buckets * 4ull, &index, 4) ||
	    index < head.first)
		return 0;
	for (int step = 0; step < CHAIN_STEPS_MAX; step++, index++) {
		uint64_t found;

		if (ctask_pages_read(pages, chains + (index - head.first) * 4ull, &entry, 4))
			return 0;
		if ((entry | 1) == (hash | 1)) {
			found = symbol_named(pages, dyn, index, name);
			if (found)
				return found;
		}
		if (entry & 1)
			break;
	}
	return 0;
}

static uint64_t find_by_hash(struct ctask_pages *pages, const struct dynamic *dyn, const char *name)
{
	uint32_t head[2]; /* buckets, chain entries: as many as symbols */
	uint64_t found = 0;

	if (ctask_pages_read(pages, dyn->hash, head, sizeof(head)))
		return 0;
	for (uint32_t i = 1;
	     !found && i < head[1] && i < BUCKETS_MAX && !ctask_pages_spend(pages, 1); i++)
		found = symbol_named(pages, dyn, i, name);
	return found;
}

int ctask_elf_exported(struct ctask_pages *pages, uint64_t base, const char *name,
		       uint64_t *ret_addr)
{
	struct dynamic dyn;
	uint64_t found;
	int ret = read_dynamic(pages, base, &dyn);

	if (ret)
		return ret;
	found = dyn.gnu_hash ? find_by_gnu_hash(pages, &dyn, name)
		: dyn.hash   ? find_by_hash(pages, &dyn, name)
			     : 0;
	if (!found)
		return -ENOENT;
	*ret_addr = found;
	return 0;
}
