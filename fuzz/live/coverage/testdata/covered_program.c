/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes edges of its code, as it is told: covered_program WORD...
 *   one, two  takes an edge of that name
 *   fork      goes on in another process
 *   hostile   does to the file that it shares what it can
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int taken;

static void be_hostile(void) {
  static char marks[1 << 20];
  const char *path = getenv("NBDSPEC_COVERAGE");
  int fd = path == NULL ? -1 : open(path, O_RDWR);
  memset(marks, 0xff, sizeof marks);
  /* Each of these has a right to fail. */
  taken = (int)write(fd, marks, sizeof marks);
  taken = ftruncate(fd, 0);
  taken = ftruncate(fd, (off_t)1 << 40);
  taken = (int)pwrite(fd, marks, sizeof marks, (off_t)1 << 32);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "one") == 0) taken = 1;
    if (strcmp(argv[i], "two") == 0) taken = 2;
    if (strcmp(argv[i], "hostile") == 0) be_hostile();
    if (strcmp(argv[i], "fork") == 0) {
      int status = 0;
      pid_t child = fork();
      if (child > 0) return waitpid(child, &status, 0) == child ? status : 1;
    }
  }
  return 0;
}
