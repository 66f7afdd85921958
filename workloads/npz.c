/* workloads/npz.c - zip archives of .npy files. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/archive.h"
#include "workloads/npy.h"
#include "workloads/npy_header.h"

/* Arrays at most, and characters of one text at most. */
enum { N_ARRAYS_MAX = 4096, TEXT_CHARACTERS_MAX = 1 << 16 };

typedef struct member {
  char *name; /* without ".npy" */
  size_t index;
} member;

struct mb_npz {
  const mb_input *input;
  mb_archive *archive;
  member *members;
  size_t n_members;
};

/* ---- opening ---- */

/* Members that are no .npy are passed over, as numpy does. */
static mb_status add_member(mb_npz *npz, size_t index) {
  static const char ending[] = ".npy";
  const char *name = mb_archive_name(npz->archive, index);
  size_t n = strlen(name);

  if (n < sizeof ending - 1 || strcmp(name + n - (sizeof ending - 1), ending) != 0) {
    return MB_OK;
  }
  char *copy = strndup(name, n - (sizeof ending - 1));
  if (copy == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the arrays of %s", npz->input->path);
  }
  if (mb_npz_has(npz, copy)) {
    mb_status status =
        MB_FAIL(MB_ERR_FORMAT, "%s: has two arrays with the name %s", npz->input->path, copy);
    free(copy);
    return status;
  }
  npz->members[npz->n_members++] = (member){copy, index};
  return MB_OK;
}

static mb_status list_members(mb_npz *npz) {
  size_t n = mb_archive_count(npz->archive);

  if (n > N_ARRAYS_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %zu members; an .npz of loads has at most %d",
                   npz->input->path, n, N_ARRAYS_MAX);
  }
  npz->members = calloc(n > 0 ? n : 1, sizeof *npz->members);
  if (npz->members == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the arrays of %s", npz->input->path);
  }
  for (size_t i = 0; i < n; i++) {
    MB_TRY(add_member(npz, i));
  }
  return MB_OK;
}

mb_status mb_npz_open(const mb_input *input, mb_npz **npz) {
  assert(input != NULL && npz != NULL);
  mb_npz *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", input->path);
  }
  made->input = input;
  mb_status status = mb_archive_open(input, &made->archive);
  status = status == MB_OK ? list_members(made) : status;
  if (status != MB_OK) {
    mb_npz_destroy(made);
    return status;
  }
  *npz = made;
  return MB_OK;
}

void mb_npz_destroy(mb_npz *npz) {
  if (npz == NULL) {
    return;
  }
  for (size_t i = 0; i < npz->n_members; i++) {
    free(npz->members[i].name);
  }
  free(npz->members);
  mb_archive_destroy(npz->archive);
  free(npz);
}

size_t mb_npz_n_arrays(const mb_npz *npz) {
  return npz->n_members;
}

size_t mb_npz_n_members(const mb_npz *npz) {
  return mb_archive_count(npz->archive);
}

const char *mb_npz_name(const mb_npz *npz, size_t i) {
  assert(i < npz->n_members);
  return npz->members[i].name;
}

static const member *find_member(const mb_npz *npz, const char *name) {
  for (size_t i = 0; i < npz->n_members; i++) {
    if (strcmp(npz->members[i].name, name) == 0) {
      return &npz->members[i];
    }
  }
  return NULL;
}

bool mb_npz_has(const mb_npz *npz, const char *name) {
  return find_member(npz, name) != NULL;
}

/* ---- unpacking a member ---- */

static mb_status read_member(void *state, const char *what, uint64_t offset, size_t n,
                             void *bytes) {
  return mb_member_read(state, what, offset, n, bytes);
}

static void close_member(void *state) {
  mb_member_close(state);
}

/* "FILE: array NAME". @param what Transferred. */
static mb_status name_array(const mb_npz *npz, const char *name, char **what) {
  size_t size = strlen(npz->input->path) + strlen(name) + sizeof ": array ";

  *what = malloc(size);
  if (*what == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", npz->input->path);
  }
  (void)snprintf(*what, size, "%s: array %s", npz->input->path, name);
  return MB_OK;
}

static mb_status fail_missing(const mb_npz *npz, const char *name) {
  char names[512] = "none";
  size_t n = 0;

  for (size_t i = 0; i < npz->n_members && n < sizeof names; i++) {
    n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "",
                          npz->members[i].name);
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: has no array %s; there are: %s%s", npz->input->path, name,
                 names, n >= sizeof names ? "..." : "");
}

/* @param what,bytes Transferred. */
static mb_status open_member(mb_npz *npz, const char *name, char **what, mb_npy_bytes *bytes) {
  const member *found = find_member(npz, name);
  mb_member *opened = NULL;
  char *named = NULL;

  if (found == NULL) {
    return fail_missing(npz, name);
  }
  MB_TRY(name_array(npz, name, &named));
  mb_status status = mb_member_open(npz->archive, found->index, named, &opened);
  if (status != MB_OK) {
    free(named);
    return status;
  }
  *bytes = (mb_npy_bytes){.size = mb_member_size(opened),
                          .sequential = !mb_member_is_stored(opened),
                          .read = read_member,
                          .destroy = close_member,
                          .state = opened};
  *what = named;
  return MB_OK;
}

mb_status mb_npz_array(mb_npz *npz, const char *name, mb_array **array) {
  mb_npy_bytes bytes = {0};
  char *what = NULL;

  MB_TRY(open_member(npz, name, &what, &bytes));
  mb_status status = mb_array_create(what, bytes, array);
  free(what);
  return status;
}

/* ---- texts ---- */

/* One character as UTF-8; returns its bytes, 0 for what is no character. */
static size_t put_character(uint32_t character, char *text) {
  if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) {
    return 0;
  }
  if (character < 0x80) {
    text[0] = (char)character;
    return 1;
  }
  size_t n = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
  for (size_t i = n - 1; i > 0; i--) {
    text[i] = (char)(0x80 | (character & 0x3f));
    character >>= 6;
  }
  text[0] = (char)((0xf00 >> n & 0xff) | character);
  return n;
}

static uint32_t get_character(const mb_npy_header *header, const unsigned char *bytes) {
  if (!header->is_utf32) {
    return bytes[0];
  }
  return header->big_endian ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                                  (uint32_t)bytes[2] << 8 | bytes[3]
                            : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 |
                                  (uint32_t)bytes[1] << 8 | bytes[0];
}

/* As numpy: NULs at the end are padding. */
static mb_status decode_text(const char *what, const mb_npy_header *header,
                             const unsigned char *bytes, char *text) {
  size_t width = header->is_utf32 ? 4 : 1;
  size_t n = header->item_size / width;
  size_t length = 0;

  while (n > 0 && get_character(header, bytes + (n - 1) * width) == 0) {
    n--;
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t character = get_character(header, bytes + i * width);
    size_t added = character != 0 ? put_character(character, text + length) : 0;
    if (added == 0) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: character %zu of its text is none: %" PRIu32, what, i,
                     character);
    }
    length += added;
  }
  text[length] = '\0';
  return MB_OK;
}

static mb_status read_text(const char *what, const mb_npy_bytes *bytes, char **text) {
  mb_npy_header header;

  MB_TRY(mb_npy_header_read(what, bytes, &header));
  if (!header.is_text || header.n_items != 1) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: should be one text", what);
  }
  if (header.item_size > 4 * (size_t)TEXT_CHARACTERS_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: its text is longer than %d characters", what,
                   TEXT_CHARACTERS_MAX);
  }
  unsigned char *raw = malloc(header.item_size + 1);
  char *made = malloc(2 * header.item_size + 1); /* a byte of S may become two */
  mb_status status = raw != NULL && made != NULL
                         ? MB_OK
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for the text of %s", what);
  if (status == MB_OK) {
    status = bytes->read(bytes->state, what, header.data_offset, header.item_size, raw);
  }
  status = status == MB_OK ? decode_text(what, &header, raw, made) : status;
  free(raw);
  if (status != MB_OK) {
    free(made);
    return status;
  }
  *text = made;
  return MB_OK;
}

mb_status mb_npz_text(mb_npz *npz, const char *name, char **text) {
  mb_npy_bytes bytes = {0};
  char *what = NULL;

  MB_TRY(open_member(npz, name, &what, &bytes));
  mb_status status = read_text(what, &bytes, text);
  mb_npy_bytes_destroy(&bytes);
  free(what);
  return status;
}
