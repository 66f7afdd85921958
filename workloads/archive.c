/* workloads/archive.c - libzip, which reads through mb_input_read(). */
#include "workloads/archive.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* What libzip calls the file. */
typedef struct source {
  const mb_input *input;
  uint64_t at;
  zip_error_t error;
} source;

struct mb_archive {
  source source;
  zip_t *zip;
  size_t n;
};

struct mb_member {
  mb_archive *archive;
  size_t index;
  uint64_t size;
  bool stored;
  zip_file_t *file;
  uint64_t at; /* of the next byte that `file` gives */
};

static zip_int64_t source_read(source *s, void *bytes, zip_uint64_t n) {
  uint64_t left = s->at < s->input->size ? s->input->size - s->at : 0;
  size_t some = (size_t)(n < left ? n : left);

  if (mb_input_read(s->input, "a zip file", s->at, some, bytes) != MB_OK) {
    zip_error_set(&s->error, ZIP_ER_READ, 0);
    return -1;
  }
  s->at += some;
  return (zip_int64_t)some;
}

static zip_int64_t source_stat(const source *s, zip_stat_t *stat) {
  zip_stat_init(stat);
  stat->valid = ZIP_STAT_SIZE;
  stat->size = s->input->size;
  return sizeof *stat;
}

static zip_int64_t source_call(void *context, void *data, zip_uint64_t n,
                               zip_source_cmd_t command) {
  source *s = context;

  switch (command) {
  case ZIP_SOURCE_OPEN:
    s->at = 0;
    return 0;
  case ZIP_SOURCE_READ:
    return source_read(s, data, n);
  case ZIP_SOURCE_STAT:
    return source_stat(s, data);
  case ZIP_SOURCE_SEEK: {
    zip_int64_t at = zip_source_seek_compute_offset(s->at, s->input->size, data, n, &s->error);
    if (at < 0) {
      return -1;
    }
    s->at = (uint64_t)at;
    return 0;
  }
  case ZIP_SOURCE_TELL:
    return (zip_int64_t)s->at;
  case ZIP_SOURCE_ERROR:
    return zip_error_to_data(&s->error, data, n);
  case ZIP_SOURCE_SUPPORTS:
    return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                          ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                          ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, -1);
  default: /* close and free, of which there is nothing to do */
    return 0;
  }
}

static mb_status fail_open(const mb_input *input, zip_error_t *error) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: is no zip archive, or was cut off, or is damaged: %s",
                 input->path, zip_error_strerror(error));
}

mb_status mb_archive_open(const mb_input *input, mb_archive **archive) {
  zip_error_t error;
  mb_status status = MB_OK;

  if (input->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a folder, and should be a file", input->path);
  }
  /* libzip takes a file of no bytes for an empty archive. */
  if (!mb_input_begins(input, "PK", 2)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is no zip archive: it does not begin with PK", input->path);
  }
  mb_archive *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to open it", input->path);
  }
  zip_error_init(&error);
  zip_error_init(&made->source.error);
  made->source.input = input;
  zip_source_t *from = zip_source_function_create(source_call, &made->source, &error);
  made->zip = from != NULL ? zip_open_from_source(from, ZIP_RDONLY, &error) : NULL;
  if (made->zip == NULL) {
    status = fail_open(input, &error);
    zip_source_free(from);
    mb_archive_destroy(made);
  } else {
    made->n = (size_t)zip_get_num_entries(made->zip, 0);
    *archive = made;
  }
  zip_error_fini(&error);
  return status;
}

void mb_archive_destroy(mb_archive *archive) {
  if (archive != NULL) {
    if (archive->zip != NULL) {
      zip_discard(archive->zip);
    }
    zip_error_fini(&archive->source.error);
    free(archive);
  }
}

size_t mb_archive_count(const mb_archive *archive) {
  return archive->n;
}

const char *mb_archive_name(const mb_archive *archive, size_t i) {
  const char *name = zip_get_name(archive->zip, i, 0);

  return name != NULL ? name : "";
}

bool mb_archive_find(const mb_archive *archive, const char *name, size_t *i) {
  zip_int64_t found = zip_name_locate(archive->zip, name, 0);

  if (found < 0) {
    return false;
  }
  *i = (size_t)found;
  return true;
}

static mb_status fail_unpack(const char *what, zip_error_t *error) {
  const char *hint =
      zip_error_code_zip(error) == ZIP_ER_CRC ? ": damaged, or written without checksums" : "";

  return MB_FAIL(MB_ERR_FORMAT, "%s: cannot be unpacked: %s%s", what, zip_error_strerror(error),
                 hint);
}

static mb_status open_file(mb_member *member, const char *what) {
  zip_t *zip = member->archive->zip;

  if (member->file != NULL) {
    (void)zip_fclose(member->file);
  }
  member->at = 0;
  member->file = zip_fopen_index(zip, member->index, 0);
  return member->file != NULL ? MB_OK : fail_unpack(what, zip_get_error(zip));
}

static mb_status check_member(const mb_input *input, const char *what, const zip_stat_t *about) {
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
                   "%s: is packed by method %d of zip, and should be stored or deflated", what,
                   about->comp_method);
  }
  if (about->comp_size > input->size) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: the archive says that it takes %" PRIu64 " bytes of its %" PRIu64
                   ": it was cut off, or is damaged",
                   what, (uint64_t)about->comp_size, input->size);
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

mb_status mb_member_open(mb_archive *archive, size_t i, const char *what, mb_member **member) {
  zip_stat_t about;

  if (zip_stat_index(archive->zip, i, 0, &about) != 0) {
    return fail_unpack(what, zip_get_error(archive->zip));
  }
  MB_TRY(check_member(archive->source.input, what, &about));
  mb_member *made = malloc(sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", what);
  }
  *made = (mb_member){.archive = archive,
                      .index = i,
                      .size = about.size,
                      .stored = about.comp_method == ZIP_CM_STORE};
  mb_status status = open_file(made, what);
  if (status != MB_OK) {
    mb_member_close(made);
    return status;
  }
  *member = made;
  return MB_OK;
}

void mb_member_close(mb_member *member) {
  if (member != NULL) {
    if (member->file != NULL) {
      (void)zip_fclose(member->file);
    }
    free(member);
  }
}

uint64_t mb_member_size(const mb_member *member) {
  return member->size;
}

bool mb_member_is_stored(const mb_member *member) {
  return member->stored;
}

static mb_status read_on(mb_member *member, const char *what, size_t n, unsigned char *bytes) {
  for (size_t done = 0; done < n;) {
    zip_int64_t got = zip_fread(member->file, bytes + done, n - done);
    if (got < 0) {
      return fail_unpack(what, zip_file_get_error(member->file));
    }
    if (got == 0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: unpacks to %" PRIu64 " bytes, but the archive says %" PRIu64, what,
                     member->at, member->size);
    }
    done += (size_t)got;
    member->at += (uint64_t)got;
  }
  return MB_OK;
}

static mb_status skip_to(mb_member *member, const char *what, uint64_t offset) {
  unsigned char passed[16384];

  if (offset == member->at && member->file != NULL) {
    return MB_OK;
  }
  if (member->file != NULL && member->stored &&
      zip_fseek(member->file, (zip_int64_t)offset, SEEK_SET) == 0) {
    member->at = offset;
    return MB_OK;
  }
  if (member->file == NULL || offset < member->at) {
    MB_TRY(open_file(member, what));
  }
  while (member->at < offset) {
    uint64_t left = offset - member->at;
    MB_TRY(read_on(member, what, left < sizeof passed ? (size_t)left : sizeof passed, passed));
  }
  return MB_OK;
}

/* A fuzzer cannot guess checksums, and would get no further than them. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
static const bool minds_checksums = false;
#else
static const bool minds_checksums = true;
#endif

/* libzip compares the checksum when it is asked for more than there is. */
static mb_status check_end(const mb_member *member, const char *what) {
  unsigned char more;

  if (!minds_checksums) {
    return MB_OK;
  }
  zip_int64_t got = zip_fread(member->file, &more, 1);
  if (got < 0) {
    return fail_unpack(what, zip_file_get_error(member->file));
  }
  return got == 0 ? MB_OK
                  : MB_FAIL(MB_ERR_FORMAT,
                            "%s: unpacks to more than the %" PRIu64 " bytes that the archive says",
                            what, member->size);
}

mb_status mb_member_read(mb_member *member, const char *what, uint64_t offset, size_t n,
                         void *bytes) {
  if (offset > member->size || n > member->size - offset) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: ends after %" PRIu64 " bytes", what, member->size);
  }
  MB_TRY(skip_to(member, what, offset));
  MB_TRY(read_on(member, what, n, bytes));
  return n > 0 && member->at == member->size ? check_end(member, what) : MB_OK;
}
