// SPDX-License-Identifier: BSD-3-Clause
// Passing an error on: for functions that return a std::expected and call others that do, with the same kind of error.

#pragma once

#include <expected>
#include <utility>

// Declares `variable` as the value of `expression`, or returns its error.
#define NBDSPEC_ASSIGN_OR_RETURN(variable, expression)        \
  auto variable##_or = (expression);                          \
  if (!variable##_or) {                                       \
    return std::unexpected(std::move(variable##_or).error()); \
  }                                                           \
  auto& variable = *variable##_or

// Returns the error of `expression`, if it has one.
#define NBDSPEC_RETURN_IF_ERROR(expression)                    \
  if (auto nbdspec_result = (expression); !nbdspec_result) {   \
    return std::unexpected(std::move(nbdspec_result).error()); \
  }                                                            \
  static_assert(true)
