#include <stdio.h>

#include "tally.h"

int main(void) {
  struct Tally tally = {{0}};
  for (int character = getchar(); character != EOF; character = getchar()) {
    tally_add(&tally, character);
  }
  tally_print(&tally);
  return 0;
}
