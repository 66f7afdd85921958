/* experiments/config_text.h - a config's tree written out, to be read elsewhere. */
#ifndef MB_EXPERIMENTS_CONFIG_TEXT_H
#define MB_EXPERIMENTS_CONFIG_TEXT_H

#include "balancer/status.h"
#include "experiments/yaml.h"

/**
 * A tree with its sweep as YAML that mb_sweep_read() reads back to the same cells, wherever the
 * text lies: paths are absolute. It names no output.
 *
 * @param path of the file that the tree was read from, whose folder relative paths start at.
 * @param text Transferred: free() it. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_config_tree_format(const mb_yaml *root, const char *path, char **text);

#endif
