/* json_frames.h - the places in code that JSON tells again and again, each kept once. */
#ifndef CTASK_MODEL_JSON_FRAMES_H
#define CTASK_MODEL_JSON_FRAMES_H

#include "model/cancellation.h"
#include "model/json_door.h"
#include "model/snapshot.h"

enum { CTASK_JSON_LIBRARIES_MAX = CTASK_LIBRARIES_MAX };

/** The distinct frames of a snapshot, or of a history. */
struct ctask_json_places {
	struct ctask_snapshot *snap;   /**< to whose frames they go, or NULL */
	struct ctask_history *history; /**< else: to these */
	const ctask_text *libraries;   /**< folders of the runtimes' own code */
	uint32_t library_count;
	uint32_t *slots; /**< open addressing: indices of frames plus one, 0 = free */
	uint32_t room, used;
};

void ctask_json_places_fini(struct ctask_json_places *places);
/** The index of the frame that @p object tells. Failures are the door's. */
uint32_t ctask_json_take_frame(struct ctask_json_door *door, struct ctask_json_places *places,
			       const struct cJSON *object);

/** The cancellation that @p object tells, to the end of @p history. Failures are the door's. */
void ctask_json_take_cancellation(struct ctask_json_door *door, struct ctask_json_places *places,
				  struct ctask_history *history, const struct cJSON *object);

#endif
