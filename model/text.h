/* text.h - text that came from a target: kept exactly, shown safely. */
#ifndef CTASK_MODEL_TEXT_H
#define CTASK_MODEL_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Python text can hold U+0000 and lone surrogates, which UTF-8 in a C string
 * cannot. Texts are therefore UTF-8 with two additions, so that every Python
 * string fits, exactly, into a NUL-terminated C string:
 *   U+0000 is the two bytes C0 80;
 *   a lone surrogate U+D800…U+DFFF is its three bytes ED xx xx (WTF-8).
 */
typedef const char *ctask_text;

/** A store of texts: equal texts may share memory; freed all at once. */
struct ctask_texts;

/** NULL when out of memory. */
struct ctask_texts *ctask_texts_create(void);
/** NULL is fine. */
void ctask_texts_destroy(struct ctask_texts *texts);
/** Free all that it keeps. */
void ctask_texts_clear(struct ctask_texts *texts);
/** Keep @p len bytes, which are already in the form above, and a final NUL. NULL when out of memory. */
ctask_text ctask_texts_add(struct ctask_texts *texts, const char *bytes, size_t len);
/** Keep what printf would write. NULL when out of memory. */
ctask_text ctask_texts_format(struct ctask_texts *texts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** Keep bytes of unknown encoding: each that is not valid UTF-8 becomes U+DC80…U+DCFF, as Python's surrogateescape. */
ctask_text ctask_texts_add_bytes(struct ctask_texts *texts, const char *bytes, size_t len);
/** Keep bytes that should be in the form above: as they are, or where they are not, as by ctask_texts_add_bytes(). */
ctask_text ctask_texts_add_checked(struct ctask_texts *texts, const char *bytes, size_t len);

/**
 * Write code point @p c (0 to 0x10ffff, surrogates too) in the form above.
 * @p to has room for 4 bytes. Returns how many were written.
 */
size_t ctask_text_encode(uint32_t c, char *to);

/**
 * Read one code point at @p *at and move @p *at behind it. A byte that is not
 * well formed reads as U+FFFD and moves one byte. Never reads past a NUL.
 */
uint32_t ctask_text_decode(const char **at);

#endif
