// SPDX-License-Identifier: BSD-3-Clause
// Makes a page and a plot of what extent_map_benchmark --json wrote: speed_page RESULTS.json FOLDER
// writes FOLDER/extent_map_speed.md and FOLDER/extent_map_speed.svg. tools/benchmark runs both.
#include <fstream>
#include <iostream>
#include <string>

#include "engine/extents/benchmark/results.h"

namespace {

bool Write(const std::string& path, const std::string& text) {
  if (std::ofstream(path, std::ios::binary) << text << std::flush) {
    return true;
  }
  std::cerr << "speed_page: cannot write " << path << "; is its folder there?\n";
  return false;
}

}  // namespace

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
  const bool written = Write(base + ".md", nbdspec::engine::speed::RenderPage(*results)) &&
                       Write(base + ".svg", nbdspec::engine::speed::RenderPlot(*results));
  return written ? 0 : 1;
}
