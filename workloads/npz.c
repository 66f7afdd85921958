/* workloads/npz.c - zip archives of .npy files, through libzip. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "workloads/npy.h"
#include "workloads/npy_header.h"

/* Arrays at most, and characters of one text at most. */
enum { N_ARRAYS_MAX = 4096, TEXT_CHARACTERS_MAX = 1 << 16 };

typedef struct member {
  char *name; /* without ".npy" */
  zip_uint64_t index;
} member;

struct mb_npz {
  const mb_input *input;
  uint64_t position; /* where libzip reads */
  zip_error_t error; /* of the last read, for libzip */
  zip_t *zip;
  member *members;
  size_t n_members;
};

/* A member that is being unpacked. */
typedef struct stream {
  zip_t *zip;
  zip_uint64_t index;
  zip_file_t *file;        /* NULL: not yet */
  uint64_t position, size; /* of what is unpacked */
} stream;

/* ---- the archive's bytes, for libzip ---- */

static zip_int64_t read_source(mb_npz *npz, void *data, zip_uint64_t length) {
  uint64_t left = npz->input->size - npz->position;
  uint64_t n = length < left ? length : left;

  if (mb_input_read(npz->input, "the archive", npz->position, (size_t)n, data) != MB_OK) {
    zip_error_set(&npz->error, ZIP_ER_READ, EIO);
    return -1;
  }
  npz->position += n;
  return (zip_int64_t)n;
}

static zip_int64_t seek_source(mb_npz *npz, void *data, zip_uint64_t length) {
  zip_int64_t to =
      zip_source_seek_compute_offset(npz->position, npz->input->size, data, length, &npz->error);

  npz->position = to >= 0 ? (uint64_t)to : npz->position;
  return to >= 0 ? 0 : -1;
}

static zip_int64_t stat_source(const mb_npz *npz, zip_stat_t *about) {
  zip_stat_init(about);
  about->size = npz->input->size;
  about->valid |= ZIP_STAT_SIZE;
  return (zip_int64_t)sizeof *about;
}

static zip_int64_t run_source(void *state, void *data, zip_uint64_t length,
                              zip_source_cmd_t command) {
  mb_npz *npz = state;

  switch (command) {
  case ZIP_SOURCE_OPEN:
    npz->position = 0;
    return 0;
  case ZIP_SOURCE_READ:
    return read_source(npz, data, length);
  case ZIP_SOURCE_SEEK:
    return seek_source(npz, data, length);
  case ZIP_SOURCE_TELL:
    return (zip_int64_t)npz->position;
  case ZIP_SOURCE_STAT:
    return length >= sizeof(zip_stat_t) ? stat_source(npz, data) : -1;
  case ZIP_SOURCE_ERROR:
    return zip_error_to_data(&npz->error, data, length);
  case ZIP_SOURCE_CLOSE:
  case ZIP_SOURCE_FREE:
    return 0;
  case ZIP_SOURCE_SUPPORTS:
    return zip_source_make_command_bitmap(
        ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
        ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
  default:
    zip_error_set(&npz->error, ZIP_ER_OPNOTSUPP, 0);
    return -1;
  }
}

/* ---- opening ---- */

static mb_status fail_zip(const mb_npz *npz, zip_error_t *error) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: is no .npz archive, or was cut off, or is damaged: %s",
                 npz->input->path, zip_error_strerror(error));
}

static mb_status open_zip(mb_npz *npz) {
  zip_error_t error;

  /* libzip takes a file of no bytes for an empty archive. */
  if (!mb_input_begins(npz->input, "PK", 2)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is no .npz archive: it does not begin with PK",
                   npz->input->path);
  }
  zip_error_init(&error);
  zip_source_t *source = zip_source_function_create(run_source, npz, &error);
  if (source != NULL) {
    npz->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
  }
  mb_status status = npz->zip != NULL ? MB_OK : fail_zip(npz, &error);
  if (npz->zip == NULL) {
    zip_source_free(source);
  }
  zip_error_fini(&error);
  return status;
}

/* Members that are no .npy are passed over, as numpy does. */
static mb_status add_member(mb_npz *npz, zip_uint64_t index) {
  static const char ending[] = ".npy";
  const char *name = zip_get_name(npz->zip, index, 0);
  size_t n = name != NULL ? strlen(name) : 0;

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
  zip_int64_t n = zip_get_num_entries(npz->zip, 0);

  if (n > N_ARRAYS_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %lld members; an .npz of loads has at most %d",
                   npz->input->path, (long long)n, N_ARRAYS_MAX);
  }
  npz->members = calloc(n > 0 ? (size_t)n : 1, sizeof *npz->members);
  if (npz->members == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the arrays of %s", npz->input->path);
  }
  for (zip_int64_t i = 0; i < n; i++) {
    MB_TRY(add_member(npz, (zip_uint64_t)i));
  }
  return MB_OK;
}

mb_status mb_npz_open(const mb_input *input, mb_npz **npz) {
  assert(input != NULL && npz != NULL);
  if (input->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a folder, and should be a file", input->path);
  }
  mb_npz *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", input->path);
  }
  made->input = input;
  zip_error_init(&made->error);
  mb_status status = open_zip(made);
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
  if (npz->zip != NULL) {
    zip_discard(npz->zip);
  }
  zip_error_fini(&npz->error);
  free(npz);
}

size_t mb_npz_n_arrays(const mb_npz *npz) {
  return npz->n_members;
}

size_t mb_npz_n_members(const mb_npz *npz) {
  return (size_t)zip_get_num_entries(npz->zip, 0);
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

static mb_status fail_stream(const stream *in, const char *what) {
  zip_error_t *error = in->file != NULL ? zip_file_get_error(in->file) : zip_get_error(in->zip);

  return MB_FAIL(MB_ERR_FORMAT, "%s: cannot be unpacked: %s", what, zip_error_strerror(error));
}

static mb_status fill(stream *in, const char *what, size_t n, unsigned char *bytes) {
  for (size_t done = 0; done < n;) {
    zip_int64_t got = zip_fread(in->file, bytes + done, n - done);
    if (got < 0) {
      return fail_stream(in, what);
    }
    if (got == 0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: unpacks to %" PRIu64 " bytes, but the archive says %" PRIu64, what,
                     in->position, in->size);
    }
    done += (size_t)got;
    in->position += (uint64_t)got;
  }
  return MB_OK;
}

static mb_status skip(stream *in, const char *what, uint64_t to) {
  unsigned char passed[16384];

  if (in->file == NULL || to < in->position) {
    if (in->file != NULL) {
      (void)zip_fclose(in->file);
    }
    in->position = 0;
    in->file = zip_fopen_index(in->zip, in->index, 0);
    if (in->file == NULL) {
      return fail_stream(in, what);
    }
  }
  while (in->position < to) {
    uint64_t left = to - in->position;
    MB_TRY(fill(in, what, left < sizeof passed ? (size_t)left : sizeof passed, passed));
  }
  return MB_OK;
}

/* libzip compares the checksum when it is asked for more than there is. */
static mb_status check_end(const stream *in, const char *what) {
  unsigned char more;
  zip_int64_t got = zip_fread(in->file, &more, 1);

  if (got < 0) {
    return fail_stream(in, what);
  }
  return got == 0 ? MB_OK
                  : MB_FAIL(MB_ERR_FORMAT,
                            "%s: unpacks to more than the %" PRIu64 " bytes that the archive says",
                            what, in->size);
}

static mb_status read_stream(void *state, const char *what, uint64_t offset, size_t n,
                             void *bytes) {
  stream *in = state;

  if (offset > in->size || n > in->size - offset) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: ends after %" PRIu64 " bytes", what, in->size);
  }
  MB_TRY(skip(in, what, offset));
  MB_TRY(fill(in, what, n, bytes));
  return n > 0 && in->position == in->size ? check_end(in, what) : MB_OK;
}

static void destroy_stream(void *state) {
  stream *in = state;

  if (in->file != NULL) {
    (void)zip_fclose(in->file);
  }
  free(in);
}

static mb_status check_member(const char *what, const zip_stat_t *about) {
  static const zip_uint64_t wanted =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;

  if ((about->valid & wanted) != wanted) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: the archive does not say how large it is", what);
  }
  if (about->encryption_method != ZIP_EM_NONE) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s: is encrypted; unpack the archive first", what);
  }
  if (about->comp_method != ZIP_CM_STORE && about->comp_method != ZIP_CM_DEFLATE) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: is packed by method %d of zip; numpy.savez stores or deflates", what,
                   about->comp_method);
  }
  /* Deflate makes at most 1,032 bytes of one. */
  if (about->size / 1032 > about->comp_size) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: the archive says that %" PRIu64 " bytes unpack to %" PRIu64
                   ", which cannot be",
                   what, (uint64_t)about->comp_size, (uint64_t)about->size);
  }
  return MB_OK;
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
  zip_stat_t about;
  char *named = NULL;

  if (found == NULL) {
    return fail_missing(npz, name);
  }
  MB_TRY(name_array(npz, name, &named));
  mb_status status = MB_OK;
  if (zip_stat_index(npz->zip, found->index, 0, &about) != 0) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: %s", named, zip_strerror(npz->zip));
  }
  status = status == MB_OK ? check_member(named, &about) : status;
  stream *in = status == MB_OK ? calloc(1, sizeof *in) : NULL;
  if (status == MB_OK && in == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", named);
  }
  if (status != MB_OK) {
    free(named);
    return status;
  }
  *in = (stream){.zip = npz->zip, .index = found->index, .size = about.size};
  *bytes = (mb_npy_bytes){.size = about.size,
                          .sequential = true,
                          .read = read_stream,
                          .destroy = destroy_stream,
                          .state = in};
  *what = named;
  return MB_OK;
}

mb_status mb_npz_array(mb_npz *npz, const char *name, mb_array **array) {
  mb_npy_bytes bytes;
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
  mb_npy_bytes bytes;
  char *what = NULL;

  MB_TRY(open_member(npz, name, &what, &bytes));
  mb_status status = read_text(what, &bytes, text);
  mb_npy_bytes_destroy(&bytes);
  free(what);
  return status;
}
