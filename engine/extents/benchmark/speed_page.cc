// SPDX-License-Identifier: BSD-3-Clause
// Makes a page and a plot of what extent_map_benchmark --json wrote: speed_page RESULTS.json FOLDER
// writes FOLDER/extent_map_speed.md and FOLDER/extent_map_speed.svg. tools/benchmark runs both.
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

#include "engine/extents/benchmark/results.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: speed_page RESULTS.json FOLDER\n";
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto results = nbdspec::engine::speed::FromJson(text);
  if (!results) {
    std::cerr << "speed_page: " << argv[1] << ": " << results.error() << "\n";
    return 1;
  }
  const std::string base = std::string(argv[2]) + "/extent_map_speed";
  for (const auto& [end, render] : {std::pair(".md", &nbdspec::engine::speed::RenderPage),
                                    std::pair(".svg", &nbdspec::engine::speed::RenderPlot)}) {
    if (!(std::ofstream(base + end, std::ios::binary) << render(*results) << std::flush)) {
      std::cerr << "speed_page: cannot write " << base << end << "; is its folder there?\n";
      return 1;
    }
  }
  return 0;
}
