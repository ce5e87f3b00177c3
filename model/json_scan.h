/* json_scan.h - JSON text from a stranger, walked piece by piece. */
#ifndef CTASK_MODEL_JSON_SCAN_H
#define CTASK_MODEL_JSON_SCAN_H

#include <stddef.h>

#include "model/error.h"

struct cJSON;

/*
 * A tree of the whole text would take some 40 times its size. So the outer
 * layers are only walked, and a tree is made of one small piece at a time; its
 * syntax is looked at then. Pieces of no interest are never looked into.
 */

enum {
	CTASK_JSON_DEPTH_MAX = 64,	 /* objects and arrays inside each other */
	CTASK_JSON_VALUES_MAX = 2000000, /* in a piece of which a tree is made */
};

/** A value in a text, from its first byte to its last. */
struct ctask_json_span {
	const char *text;
	size_t len;
};

/** Goes through one object or array. */
struct ctask_json_walk {
	const char *at, *end;
	char close;
	int begun;
};

/**
 * The one value that @p text consists of, between blanks. -EPROTO when it is
 * something else, or goes too deep.
 */
int ctask_json_whole(const char *text, size_t len, struct ctask_json_span *ret,
		     struct ctask_error *err);

/** Begin to go through @p span. -EPROTO when it is not what @p open, '{' or '[', begins. */
int ctask_json_walk_begin(struct ctask_json_walk *walk, const struct ctask_json_span *span,
			  char open, struct ctask_error *err);
/**
 * The next member of the object (its key, a literal with its quotes, in *ret_key) or item
 * of the array (@p ret_key is NULL). 1, 0 at the end, -EPROTO when it is malformed.
 */
int ctask_json_walk_next(struct ctask_json_walk *walk, struct ctask_json_span *ret_key,
			 struct ctask_json_span *ret_value, struct ctask_error *err);

/**
 * A tree of @p span. Its strings are in the form of model/text.h, as far as the
 * text is; they have to be checked. cJSON_Delete() it. -EPROTO when it is no JSON or has too many values, -ENOMEM.
 */
int ctask_json_tree(const struct ctask_json_span *span, struct cJSON **ret_tree,
		    struct ctask_error *err);

#endif
