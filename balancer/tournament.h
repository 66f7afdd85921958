/* balancer/tournament.h - internal: who has the smallest key of all, while keys change one by one.
 *
 * Players meet in pairs up a binary tree: entries 1..n-1 are the winners, 1 that of all, and
 * n..2n-1 the players, x at n + x. The smaller key wins, on a tie the smaller id. A change replays
 * one path, whose opponents are known beforehand: no branch depends on a key, as it would in a
 * heap.
 */
#ifndef MB_BALANCER_TOURNAMENT_H
#define MB_BALANCER_TOURNAMENT_H

#include <stddef.h>
#include <stdint.h>

typedef struct mb_player {
  double key;
  int32_t id;
} mb_player;

static inline mb_player mb_tournament_winner(mb_player a, mb_player b) {
  return (a.key < b.key) | ((a.key == b.key) & (a.id < b.id)) ? a : b;
}

/** Plays all games, the n players being in their places. O(n). */
static inline void mb_tournament_play(mb_player *tree, size_t n) {
  for (size_t at = n - 1; at > 0; at--) {
    tree[at] = mb_tournament_winner(tree[2 * at], tree[2 * at + 1]);
  }
}

/** Player x gets another key. O(log n). */
static inline void mb_tournament_change(mb_player *tree, size_t n, size_t x, double key) {
  mb_player winner = {key, tree[n + x].id};

  for (size_t at = n + x; at > 0; at /= 2) {
    tree[at] = winner;
    winner = mb_tournament_winner(winner, tree[at ^ 1]);
  }
}

#endif
