/* balancer/param.h - tables of parameters: what a strategy, a generator or a config accepts. */
#ifndef MB_BALANCER_PARAM_H
#define MB_BALANCER_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a text parameter in its struct, with the final NUL. */
#define MB_PARAM_TEXT_SIZE 1024

typedef enum mb_param_type {
  MB_PARAM_INT,  /* int64_t; [min, max], or the parameter's `word` */
  MB_PARAM_REAL, /* double, finite; [min, max] */
  MB_PARAM_BOOL, /* bool; true or false */
  MB_PARAM_TEXT, /* char[MB_PARAM_TEXT_SIZE]; one of `choices` where there are any */
} mb_param_type;

/**
 * One parameter. A table is an array of these that ends with an entry whose key is NULL; its values
 * live in a plain struct, each at its offset.
 */
typedef struct mb_param {
  const char *key;
  mb_param_type type;
  const char *unit;    /* "rounds", "steps", "tokens"; "1" for a pure number, "" for text */
  const char *initial; /* the default as it would be written in a config; NULL: must be given */
  double min, max;     /* inclusive range of INT (exact up to 2^53) and REAL */
  const char *word;    /* INT: a word accepted instead of a number, as "unlimited"; or NULL */
  int64_t word_value;  /* what the word stands for; outside [min, max] */
  const char *const *choices; /* TEXT: NULL-terminated list of what is accepted; NULL: anything */
  const char *help;           /* half a sentence */
  size_t offset;              /* of the value in the struct */
} mb_param;

/** The parameter of that key, or NULL. `table` may be NULL: an empty table. */
const mb_param *mb_param_find(const mb_param *table, const char *key);

/** The key of the table that `key` is probably a slip of, or NULL: the nearest of those at most 2
 * edits away, capitals or not, else one that begins with it. */
const char *mb_param_nearest(const mb_param *table, const char *key);

/** Fills `values` with the defaults; parameters without one get 0, false or "". */
void mb_params_init(const mb_param *table, void *values);

/**
 * Sets one value from its text, as found in a config or on the command line. Numbers are decimal,
 * in the C locale; an INT may be written 1e6 if that is a whole number.
 *
 * @return MB_OK; MB_ERR_PARAM with a message that names the key and what would be right: unknown
 * key (and the nearest known one), not a number, out of range, not one of the choices, too long.
 *         `values` is untouched on failure.
 */
MB_NODISCARD mb_status mb_params_set(const mb_param *table, const char *key, const char *text,
                                     void *values);

/** Writes a value as text that mb_params_set() reads back to the same bits. Returns `buffer`. */
char *mb_param_format(const mb_param *param, const void *values, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
