/* code.h - code objects and places in them: looked up once, then known by a number. */
#ifndef CTASK_AGENT_CODE_H
#define CTASK_AGENT_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python.h"
#include "model/origins.h"

/** A local variable, or an attribute of one, as a row names it: "self._when". */
struct ctask_local {
	int16_t slot;	    /**< among the frame's fast locals; -1: it has none of that name */
	char attribute[22]; /**< empty: the variable itself */
};

/** What is known of a code object. Kept for good: the agent holds a reference to the object. */
struct ctask_code_facts {
	struct py_object *code;
	const struct ctask_origin_row
		*row; /**< what it means on the stack of a cancel(), or NULL */
	struct ctask_local scope, delay, when, failed, exception,
		main;		 /**< as the row names them */
	uint32_t name, filename; /**< words */
	int first_line;
	uint16_t arguments; /**< positional parameters */
	uint16_t locals;    /**< local variables, parameters included, cells not */
	uint16_t slots;	    /**< of localsplus: the value stack begins behind them */
	uint16_t keyword_arguments;
	bool library;		/**< a file of the asyncio that is loaded */
	bool takes_rest;	/**< it has *args, in the slot behind all parameters */
	bool may_handle_signal; /**< it can have been called with a number and a frame */
	bool runs_loops;	/**< asyncio/base_events.py: what runs a loop, and its helpers */
	bool is_wait_for;	/**< asyncio.wait_for */
	bool is_group_exit;	/**< TaskGroup.__aexit__ and what it calls */
	int16_t flag; /**< of a library function that keeps in this local that it was cancelled; -1 */
	bool is_cancel; /**< a function called cancel: it may override Task.cancel */
	bool is_enter;	/**< __enter__ or __aenter__ */
	bool is_exit;	/**< __exit__, __aexit__, or what a group's calls */
};

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
