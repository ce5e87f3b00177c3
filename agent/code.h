/* code.h - code objects and places in them: looked up once, then known by a number. */
#ifndef CTASK_AGENT_CODE_H
#define CTASK_AGENT_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python.h"
#include "model/facts.h"

/**
 * The place of instruction @p lasti (bytes; negative = not begun) in @p code,
 * and what is known of the code in *ret_facts. 0 when there is no room for it.
 * The first time it asks CPython, which may run the garbage collector, and
 * with it any code; after that it is a look into a table. Needs the GIL.
 */
uint32_t ctask_place_of(struct py_object *code, int lasti,
			const struct ctask_code_facts **ret_facts);

/** How many code objects were learnt of so far. */
extern uint32_t ctask_codes_learnt;

/** Keep a text in the words of the history, once. 0 when there is no room. */
uint32_t ctask_word_of(const char *text);

/** In a forked child, whose history is new: the places are numbered anew. */
void ctask_places_forget(void);

#endif
