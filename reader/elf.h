/* elf.h - symbols of the ELF files that a process has mapped. */
#ifndef CTASK_READER_ELF_H
#define CTASK_READER_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "model/error.h"
#include "reader/pages.h"

/**
 * Address of the exported symbol @p name of the ELF image mapped at @p base,
 * looked up as the dynamic linker would, in the target's own memory: no file
 * is needed, so a deleted, replaced or unreachable one does not matter.
 * -ENOENT when the image does not define it, -ENOEXEC when it is no image.
 */
int ctask_elf_exported(struct ctask_pages *pages, uint64_t base, const char *name,
		       uint64_t *ret_addr);

/**
 * The same for symbols that are not exported: from the symbol table of the
 * file @p fd, or, when @p section is not NULL, the start of the section of that
 * name. @p base is where the file is mapped. -ENOENT when there is none.
 */
int ctask_elf_in_file(int fd, uint64_t base, const char *symbol, const char *section,
		      uint64_t *ret_addr);

/**
 * True when @p fd begins as a 64-bit little-endian ELF file whose number of
 * sections stands in its head. libelf allocates for each; the extended count
 * is bounded only by the size of the file, and a file with holes has any.
 */
bool ctask_elf_is_modest(int fd);

#endif
