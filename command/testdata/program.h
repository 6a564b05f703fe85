// SPDX-License-Identifier: BSD-3-Clause
// Runs the real program, as a shell does, for tests of the command from outside.

#pragma once

#include <string>
#include <vector>

namespace nbdspec::command {

struct Result {
  int exit = -1;
  std::string output;  // Standard output, and where the command says so error.

  [[nodiscard]] bool Says(const std::string& text) const { return output.find(text) != std::string::npos; }
};

Result Shell(const std::string& command);

// Runs `nbdspec WORDS` in a shell.
Result Nbdspec(const std::string& words, const std::string& redirection = "2>&1");

// A path of the test's own.
std::string FileFor(const std::string& name);

std::string Contents(const std::string& file);
void Write(const std::string& file, const std::string& text);

// The processes whose command line holds `word`, this test's own and its shell aside.
std::string ProcessesWith(const std::string& word);

// A server whose fault can be changed (conformance/peer:faulty_server), and what was found of it.
class FaultyServer {
 public:
  FaultyServer(const std::string& name, const std::string& fault);

  void Become(const std::string& fault) const;
  // As --spawn takes it, quoted for a shell.
  [[nodiscard]] std::string command() const;
  [[nodiscard]] const std::string& fault_file() const { return fault_file_; }
  [[nodiscard]] const std::string& findings() const { return findings_; }
  // The words of a run that asks only for what is offered, and does not take long to make what it finds small.
  [[nodiscard]] std::string FuzzWords(const std::string& more) const;
  [[nodiscard]] Result Fuzz(const std::string& more) const { return Nbdspec(FuzzWords(more)); }

  // The directories in findings(), sorted.
  [[nodiscard]] std::vector<std::string> Kept() const;
  // The first whose name begins so.
  [[nodiscard]] std::string Kept(const std::string& kind) const;

 private:
  std::string fault_file_;
  std::string findings_;
};

}  // namespace nbdspec::command
