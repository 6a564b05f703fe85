/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For servers in C and C++, to be linked with them: `nbdspec fuzz --coverage` sees which of their code ran.
 *
 *   clang -fsanitize-coverage=trace-pc-guard -c my-server.c
 *   clang my-server.o nbdspec_coverage.c -o my-server
 *
 * Each edge of the code has a byte in memory that is shared with nbdspec, also after a fork: 1 once the edge was taken.
 * The environment variable NBDSPEC_COVERAGE names the file of that memory; without it the server is as ever. A server
 * that loads others of its modules wants one of this for all of them: docs/howto/fuzz_with_coverage.md.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EDGES = 1 << 18 }; /* As fuzz/live/coverage/edge_map.h has it. Where a server has more, some share a byte. */

/* Where all of a program is compiled with the option, this is not to call itself. */
#if defined(__clang__)
#define UNCOVERED __attribute__((no_sanitize("coverage")))
#else
#define UNCOVERED
#endif

void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop);
void __sanitizer_cov_trace_pc_guard(uint32_t *guard);

static uint8_t nowhere[EDGES];
static uint8_t *edges = nowhere;
static uint32_t edge_count = 0;

UNCOVERED static void share(void) {
  const char *path = getenv("NBDSPEC_COVERAGE");
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    void *map = mmap(NULL, EDGES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) edges = map;
  }
}

/* Of each program and library that is instrumented, before its own code runs. */
UNCOVERED void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop) {
  if (start == stop || *start != 0) return;
  if (edge_count == 0) share();
  while (start < stop) *start++ = ++edge_count;
}

UNCOVERED void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
  uint8_t *edge = &edges[*guard % EDGES];
  if (*edge == 0) *edge = 1; /* Most have run before: threads need not fight for them. */
}
