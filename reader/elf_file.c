/* elf_file.c - symbols of the ELF files that a process has mapped, from the files. The agent does without. */
#include "reader/elf.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { SECTION_MAX = 1 << 28 }; /* bytes of a symbol or string table */

bool ctask_elf_is_modest(int fd)
{
	Elf64_Ehdr ehdr;

	return pread(fd, &ehdr, sizeof(ehdr), 0) == sizeof(ehdr) &&
	       !memcmp(ehdr.e_ident, ELFMAG, SELFMAG) && ehdr.e_ident[EI_CLASS] == ELFCLASS64 &&
	       ehdr.e_ident[EI_DATA] == ELFDATA2LSB && (ehdr.e_shnum || !ehdr.e_shoff);
}

/* libelf brings a section into memory whole: not one that is absurdly large. */
static Elf_Data *section_data(Elf_Scn *scn)
{
	GElf_Shdr shdr;

	return scn && gelf_getshdr(scn, &shdr) && shdr.sh_size <= SECTION_MAX
		       ? elf_getdata(scn, NULL)
		       : NULL;
}

static uint64_t symbol_in_section(Elf *elf, Elf_Scn *scn, const GElf_Shdr *shdr, const char *name)
{
	Elf_Data *data = section_data(scn);
	Elf_Data *names = section_data(elf_getscn(elf, shdr->sh_link));
	size_t count = data ? data->d_size / sizeof(Elf64_Sym) : 0, len = strlen(name) + 1;

	for (size_t i = 0; names && names->d_buf && i < count; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym) || sym.st_shndx == SHN_UNDEF)
			continue;
		if (len <= names->d_size && sym.st_name <= names->d_size - len &&
		    !memcmp((const char *)names->d_buf + sym.st_name, name, len))
			return sym.st_value;
	}
	return 0;
}

static uint64_t search_sections(Elf *elf, const char *symbol, const char *section)
{
	size_t names;
	Elf_Scn *scn = NULL;
	uint64_t found = 0;

	if (elf_getshdrstrndx(elf, &names) || !section_data(elf_getscn(elf, names)))
		return 0;
	while (!found && (scn = elf_nextscn(elf, scn))) {
		const char *name;
		GElf_Shdr shdr;

		if (!gelf_getshdr(scn, &shdr))
			continue;
		if (symbol && shdr.sh_type == SHT_SYMTAB)
			found = symbol_in_section(elf, scn, &shdr, symbol);
		name = elf_strptr(elf, names, shdr.sh_name);
		if (!found && section && name && !strcmp(name, section))
			found = shdr.sh_addr;
	}
	return found;
}

static uint64_t file_bias(Elf *elf, uint64_t base)
{
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr phdr;

		if (gelf_getphdr(elf, (int)i, &phdr) && phdr.p_type == PT_LOAD)
			return base - (phdr.p_vaddr - phdr.p_offset);
	}
	return 0;
}

int ctask_elf_in_file(int fd, uint64_t base, const char *symbol, const char *section,
		      uint64_t *ret_addr)
{
	uint64_t found = 0;
	Elf *elf;

	if (elf_version(EV_CURRENT) == EV_NONE || !ctask_elf_is_modest(fd))
		return -ENOEXEC;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF)
		found = search_sections(elf, symbol, section);
	if (found)
		*ret_addr = found + file_bias(elf, base);
	elf_end(elf);
	return found ? 0 : -ENOENT;
}
