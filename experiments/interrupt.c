/* experiments/interrupt.c */
#include "experiments/interrupt.h"

#include <signal.h>
#include <string.h>

/* A handler may write to nothing else than such a flag. */
static volatile sig_atomic_t interrupted;

static void note_signal(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

void mb_interrupt_install(void) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action;

  memset(&action, 0, sizeof action);
  (void)sigemptyset(&action.sa_mask);
  /* Reading and writing go on, so that no library sees an interrupted call. */
  action.sa_flags = SA_RESTART;
  action.sa_handler = note_signal;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction before;
    /* What the parent wants ignored stays ignored, as under nohup. */
    if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
      (void)sigaction(signals[i], &action, NULL);
    }
  }
  action.sa_handler = SIG_IGN;
  (void)sigaction(SIGXFSZ, &action, NULL);
  (void)sigaction(SIGPIPE, &action, NULL);
  /* Ignored by the parent, as some launchers do, children would vanish unseen. */
  action.sa_handler = SIG_DFL;
  (void)sigaction(SIGCHLD, &action, NULL);
}

bool mb_interrupted(void) {
  return interrupted != 0;
}

mb_status mb_interrupt_check(void) {
  return interrupted == 0 ? MB_OK : MB_FAIL(MB_ERR_CANCELLED, "stopped on request");
}
