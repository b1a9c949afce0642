// What the host does when its disk is full, and what people can do then.
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "e2e/spine.hpp"
#include "harness/clock.hpp"

namespace patchbay::e2e {
namespace {

using harness::wait_until;
namespace fs = std::filesystem;

class FullDisk : public Spine {
 protected:
  // Posts until one is refused; those that were accepted.
  int post_until_refused(const std::string& prefix) {
    for (int i = 0; i < 20'000; ++i) {
      const auto reply = post_urgent_issue(prefix + std::to_string(i), prefix + std::to_string(i));
      if (reply.status == 503) {
        EXPECT_FALSE(reply.header("retry-after").empty());
        return i;
      }
      EXPECT_EQ(reply.status / 100, 2) << reply.status << " " << reply.body;
    }
    ADD_FAILURE() << "it was never refused";
    return 0;
  }
  int ready() { return http_.send("GET", host_->url("/readyz")).status; }
};

TEST_F(FullDisk, IsSaidAndForgottenWhenThereIsRoomAgain) {
  ASSERT_EQ(ready(), 200);
  // A limit on the size of files is the same to SQLite.
  const auto limit = static_cast<rlim_t>(fs::file_size(folder_.path() / "patchbay.db-wal")) + (512 << 10);
  const rlimit small{limit, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(host_->process().pid(), RLIMIT_FSIZE, &small, nullptr), 0);
  const int accepted = post_until_refused("before");
  EXPECT_GT(accepted, 3);
  EXPECT_TRUE(wait_until([&] { return ready() == 503; }));
  EXPECT_NE(http_.send("GET", host_->url("/readyz")).body.find("disk is full"), std::string::npos);
  EXPECT_EQ(http_.send("GET", host_->url("/livez")).status, 200);

  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(host_->process().pid(), RLIMIT_FSIZE, &none, nullptr), 0);
  EXPECT_TRUE(wait_until([&] { return ready() == 200; })) << "without a restart";
  EXPECT_EQ(post_urgent_issue("after", "after").status / 100, 2);
  EXPECT_TRUE(wait_for_messages(static_cast<std::size_t>(accepted) + 1));
  EXPECT_EQ(host_->stop(), 0);
}

// On a file system of its own, filled to the last byte: the host is stopped, cannot start, and purge makes room.
TEST_F(FullDisk, PurgeMakesRoomWhereTheHostCannotStart) {
  const auto disk = folder_.path() / "disk";
  fs::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=24m") != 0) GTEST_SKIP() << "no file system can be mounted here";
  struct Unmount {
    std::string place;
    ~Unmount() { ::umount2(place.c_str(), MNT_DETACH); }
  } unmount{disk};
  auto settings = settings_;
  settings.folder = folder_.path() / "second";
  fs::create_directories(settings.folder);
  settings.database = "sqlite:" + (disk / "patchbay.db").string();
  host_->stop();
  simulators_.forget_messages();
  begin(settings);
  const int accepted = post_until_refused("x");
  EXPECT_GT(accepted, 100);
  host_->kill();
  {  // and nothing is left for anybody else
    std::ofstream filler(disk / "filler");
    const std::string block(4096, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  const auto purged = host_->command({"purge", "--to-bytes", "700000", "--json"});
  ASSERT_EQ(purged.exit_code, 0) << purged.output << harness::read_file(settings.folder / "command.log");
  const auto report = nlohmann::json::parse(purged.output);
  EXPECT_GT(report.at("runs"), 0) << report;
  EXPECT_LT(report.at("bytes_after"), report.at("bytes_before")) << report;
  fs::remove(disk / "filler");
  host_->start();
  EXPECT_EQ(post_urgent_issue("later", "later").status / 100, 2);
  EXPECT_TRUE(wait_until([&] { return count_messages("later") == 1; }));
  host_->stop();
}

}  // namespace
}  // namespace patchbay::e2e
