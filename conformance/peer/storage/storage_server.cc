// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/storage/storage_server.h"

#include <utility>
#include <vector>

#include "engine/base/or_return.h"

namespace nbdspec::conformance {

using engine::Trouble;

namespace {

class StorageConnection final : public ServedConnection {
 public:
  explicit StorageConnection(engine::Export& of) : server_({}, std::vector<engine::Export*>{&of}) {}

  void Receive(engine::ByteView bytes) override { server_.Receive(bytes); }
  engine::Bytes TakeOutput() override { return server_.TakeOutput(); }
  [[nodiscard]] bool closed() const override { return server_.closed(); }

 private:
  engine::Server server_;
};

}  // namespace

StorageServer::StorageServer(std::uint64_t size)
    : export_{.options = {.name = "", .description = "nbdspec's storage"}} {
  auto disk = std::make_unique<engine::VolatileDisk>(size);
  disk_ = disk.get();
  export_.stack = std::move(disk);
}

std::expected<std::unique_ptr<StorageServer>, Trouble> StorageServer::Make(std::uint64_t size) {
  // Not make_unique: the constructor is private.
  std::unique_ptr<StorageServer> storage(new StorageServer(size));
  NBDSPEC_ASSIGN_OR_RETURN(
      server, SocketServer::Make([of = &storage->export_] { return std::make_unique<StorageConnection>(*of); }));
  storage->server_ = std::move(server);
  return storage;
}

void StorageServer::With(const std::function<void(engine::VolatileDisk& disk)>& use) {
  server_->With([&] { use(*disk_); });
}

}  // namespace nbdspec::conformance
