// SPDX-License-Identifier: BSD-3-Clause
#include "command/testdata/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace nbdspec::command {

Result Shell(const std::string& command) {
  Result result;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    return result;
  }
  std::array<char, 4096> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    result.output.append(buffer.data(), count);
  }
  const int status = ::pclose(pipe);
  result.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

Result Nbdspec(const std::string& words, const std::string& redirection) {
  return Shell("command/nbdspec " + words + " " + redirection);
}

std::string FileFor(const std::string& name) { return std::string(std::getenv("TEST_TMPDIR")) + "/" + name; }

// Not by the stream's iterators, which throw when a process ends whose file in /proc is read.
std::string Contents(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void Write(const std::string& file, const std::string& text) { std::ofstream(file) << text; }

std::string ProcessesWith(const std::string& word) {
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string line = Contents(entry.path() / "cmdline");
    if (line.find(word) != std::string::npos && line.find("kill -") == std::string::npos) {
      found += entry.path().filename().string() + " ";
    }
  }
  return found;
}

FaultyServer::FaultyServer(const std::string& name, const std::string& fault)
    : fault_file_(FileFor(name + ".fault")), findings_(FileFor(name + ".findings")) {
  Become(fault);
}

void FaultyServer::Become(const std::string& fault) const { Write(fault_file_, fault); }

std::string FaultyServer::command() const { return "'conformance/peer/faulty_server {socket} " + fault_file_ + "'"; }

std::string FaultyServer::FuzzWords(const std::string& more) const {
  return "fuzz --spawn " + command() + " --only-offered --tries 8 --findings " + findings_ + " " + more;
}

std::vector<std::string> FaultyServer::Kept() const {
  std::vector<std::string> kept;
  for (const auto& entry : std::filesystem::directory_iterator(findings_)) {
    if (!entry.path().filename().string().starts_with(".")) {
      kept.push_back(entry.path().string());
    }
  }
  std::ranges::sort(kept);
  return kept;
}

std::string FaultyServer::Kept(const std::string& kind) const {
  for (const std::string& each : Kept()) {
    if (each.starts_with(findings_ + "/" + kind)) {
      return each;
    }
  }
  ADD_FAILURE() << "nothing was found of " << kind;
  return {};
}

}  // namespace nbdspec::command
