// What one delivery costs in the store: the journal's Ingest (delivery with its body, event, run), then what the engine
// writes about the run (two steps, the run's end), in batches of a fixed size, by CPU time of this process.
//
//   store_bench [--deliveries N] [--batch N] [--body BYTES] [--database FILE] [--together] [--split]
//
// --together commits a batch of deliveries with the run ends of the batch before, as the commit thread does under load.
// --split also prints the CPU time of each statement, which costs two clock calls a statement.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "journal/ingest_item.hpp"
#include "journal/journal.hpp"
#include "store/migrations.hpp"

namespace patchbay {
namespace {

using store::GroupCommit;
using store::Param;

double cpu_us(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// Passes statements on and sums their CPU time by text.
class TimedTransaction final : public store::Transaction {
 public:
  TimedTransaction(store::Transaction& inner, std::map<std::string, double>& spent) : inner_(inner), spent_(spent) {}

  Result<std::int64_t> execute(std::string_view sql, std::span<const Param> params,
                               const store::OnRow& on_row) override {
    const double start = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    auto result = inner_.execute(sql, params, on_row);
    spent_[std::string(sql.substr(0, 40))] += cpu_us(CLOCK_THREAD_CPUTIME_ID) - start;
    return result;
  }
  Result<std::int64_t> execute_many(std::string_view sql, std::size_t columns, std::span<const Param> params,
                                    const store::OnRow& on_row) override {
    const double start = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    auto result = inner_.execute_many(sql, columns, params, on_row);
    spent_[std::string(sql.substr(0, 40))] += cpu_us(CLOCK_THREAD_CPUTIME_ID) - start;
    return result;
  }

  Result<> announce() override { return inner_.announce(); }

 private:
  store::Transaction& inner_;
  std::map<std::string, double>& spent_;
};

class TimedDatabase final : public store::Database {
 public:
  TimedDatabase(store::Database& inner, bool split) : inner_(inner), split_(split) {}

  Result<> write(const store::Work& work) override {
    const double start = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    double inside = 0;
    auto done = inner_.write([&](store::Transaction& transaction) {
      const double begun = cpu_us(CLOCK_THREAD_CPUTIME_ID);
      TimedTransaction timed(transaction, spent);
      auto worked = split_ ? work(timed) : work(transaction);
      inside = cpu_us(CLOCK_THREAD_CPUTIME_ID) - begun;
      return worked;
    });
    spent["(work, all)"] += inside;
    spent["(begin, commit, checkpoint)"] += cpu_us(CLOCK_THREAD_CPUTIME_ID) - start - inside;
    return done;
  }
  Result<> read(const store::Work& work) override { return inner_.read(work); }
  Result<> run_script(std::string_view sql) override { return inner_.run_script(sql); }
  std::string_view dialect() const override { return inner_.dialect(); }
  bool is_shared() const override { return inner_.is_shared(); }
  Result<store::Space> space() override { return inner_.space(); }
  Result<std::int64_t> shrink(std::int64_t bytes) override { return inner_.shrink(bytes); }
  Result<> compact() override { return inner_.compact(); }
  Result<bool> is_held(std::string_view place) override { return inner_.is_held(place); }

  std::map<std::string, double> spent;

 private:
  store::Database& inner_;
  bool split_;
};

// What the engine's RunStore writes when a run with a condition and a reaction ends.
class RunWriter final : public GroupCommit::Applier {
 public:
  struct Item final : GroupCommit::Item {
    std::string run;
    std::string output;
    std::size_t bytes() const override { return 512; }
    void finished(Result<>) override {}
  };

  Result<> apply(store::Transaction& transaction, std::span<GroupCommit::Item* const> items) override {
    const Param null = nullptr;
    std::vector<Param> steps;
    std::vector<Param> runs;
    for (auto* each : items) {
      const auto& item = static_cast<const Item&>(*each);
      const std::string_view run = item.run;
      for (const std::string_view node : {"urgent", "tell"}) {
        steps.insert(steps.end(), {run, node, std::string_view("completed"), std::string_view("true"), std::int64_t{1},
                                   std::string_view(item.output), std::string_view(item.output), null,
                                   std::int64_t{1'700'000'000'000'000}, std::int64_t{1'700'000'000'100'000}, null});
      }
      runs.insert(runs.end(), {run, std::string_view("completed"), std::int64_t{1'700'000'000'000'000},
                               std::int64_t{1'700'000'000'100'000}, null});
    }
    auto inserted = transaction.execute_many(
        "INSERT INTO steps (run_id, node_id, status, port, attempt, input, output, error, started_at, finished_at, "
        "next_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
        "ON CONFLICT (run_id, node_id) DO UPDATE SET status = excluded.status, port = excluded.port, "
        "attempt = excluded.attempt, input = excluded.input, output = excluded.output, error = excluded.error, "
        "finished_at = excluded.finished_at, next_at = excluded.next_at",
        11, steps);
    if (!inserted) return std::unexpected(inserted.error());
    auto updated = transaction.execute_many(
        "UPDATE runs SET status = $2, started_at = $3, finished_at = $4, error = $5 WHERE id = $1", 5, runs);
    if (!updated) return std::unexpected(updated.error());
    return {};
  }
};

struct Arguments {
  int deliveries = 20'000;
  int batch = 64;
  std::size_t body = 11'600;
  bool split = false;
  bool together = false;
  std::string database = "store_bench.db";
};

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void insert_watch(store::Database& database, const journal::Ingest& like) {
  const auto user = like.user.to_string();
  const auto flow = like.flow.to_string();
  const auto watch = like.watch.to_string();
  must(database.run_script(fmt::format(
      "INSERT INTO users VALUES ('{0}', 'a@b', 'x', 'user', 1); "
      "INSERT INTO flows VALUES ('{1}', '{0}', 'f', 'active', 1, '{{}}', 1, 1); "
      "INSERT INTO watches (id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, token, "
      "secret, "
      "state_version, status, created_at) VALUES ('{2}', '{1}', '{0}', 1, 'n', 'github', 'issues', '{{}}', 't', x'00', "
      "1, 'active', 1)",
      user, flow, watch)));
}

journal::Ingest make_ingest(const journal::Ingest& like, const std::shared_ptr<const std::string>& body) {
  auto ingest = like;
  ingest.now = system_clock().now();
  auto& delivery = ingest.delivery.emplace();
  delivery.id = DeliveryId::make(ingest.now);
  delivery.watch = ingest.watch;
  delivery.flow = ingest.flow;
  delivery.user = ingest.user;
  delivery.received = ingest.now;
  delivery.method = "POST";
  delivery.headers_json = R"({"content-type":"application/json","user-agent":"GitHub-Hookshot/5a6b7c8","accept":"*/*",)"
                          R"("x-github-delivery":"f2f0c7a0-c6f2-11ee-8f4a-0242ac120002","x-github-event":"issues",)"
                          R"("x-github-hook-id":"459123456"})";
  delivery.owner = body;
  delivery.body = *body;
  delivery.http_status = 204;
  auto& event = ingest.events.emplace_back();
  event.id = EventId::make(ingest.now);
  event.run = RunId::make(ingest.now);
  // A random key, as GitHub's X-GitHub-Delivery is.
  event.key = fmt::format("{:08x}-{:04x}-11ee-8f4a-0242ac120002", static_cast<unsigned>(std::rand()),
                          static_cast<unsigned>(std::rand()) & 0xffff);
  event.is_body = true;
  event.occurred = ingest.now;
  return ingest;
}

struct Work {
  std::vector<std::unique_ptr<journal::IngestItem>> ingests;
  std::vector<std::unique_ptr<RunWriter::Item>> runs;
};

Work make_batch(const Arguments& arguments, const journal::Ingest& like,
                const std::shared_ptr<const std::string>& body) {
  Work work;
  for (int i = 0; i < arguments.batch; ++i) {
    auto ingest = make_ingest(like, body);
    auto& run = *work.runs.emplace_back(std::make_unique<RunWriter::Item>());
    run.run = ingest.events.front().run.to_string();
    run.output = std::string(120, 'o');
    work.ingests.push_back(std::make_unique<journal::IngestItem>(std::move(ingest), journal::Journal::Done{}));
  }
  return work;
}

template <class T>
std::vector<GroupCommit::Item*> pointers(const std::vector<std::unique_ptr<T>>& items) {
  std::vector<GroupCommit::Item*> list;
  for (const auto& item : items) list.push_back(item.get());
  return list;
}

// Returns the CPU time of the process within the transactions.
double run_batches(const Arguments& arguments, TimedDatabase& database, const journal::Ingest& like) {
  journal::Journal journal{"host"};
  RunWriter writer;
  const auto body = std::make_shared<const std::string>(arguments.body, 'x');
  double total = 0;
  Work before;
  for (int done = 0; done < arguments.deliveries; done += arguments.batch) {
    auto work = make_batch(arguments, like, body);
    const auto ingests = pointers(work.ingests);
    const auto runs = pointers(arguments.together ? before.runs : work.runs);
    const double start = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
    const auto write_runs = [&](store::Transaction& transaction) { return writer.apply(transaction, runs); };
    must(database.write([&](store::Transaction& transaction) -> Result<> {
      auto applied = journal.apply(transaction, ingests);
      return applied && arguments.together ? write_runs(transaction) : applied;
    }));
    if (!arguments.together) must(database.write(write_runs));
    total += cpu_us(CLOCK_PROCESS_CPUTIME_ID) - start;
    before = std::move(work);
  }
  return total;
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    const auto number = [&] { return ++i < count ? std::atoi(words[i]) : 0; };
    if (word == "--deliveries") {
      arguments.deliveries = number();
    } else if (word == "--batch") {
      arguments.batch = std::max(number(), 1);
    } else if (word == "--body") {
      arguments.body = static_cast<std::size_t>(number());
    } else if (word == "--database" && i + 1 < count) {
      arguments.database = words[++i];
    } else if (word == "--together") {
      arguments.together = true;
    } else if (word == "--split") {
      arguments.split = true;
    } else {
      std::fprintf(
          stderr,
          "usage: store_bench [--deliveries N] [--batch N] [--body BYTES] [--database FILE] [--together] [--split]\n");
      std::exit(2);
    }
  }
  return arguments;
}

void run(const Arguments& arguments) {
  const auto remove_all = [&] {
    for (const auto* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(arguments.database + suffix);
  };
  remove_all();
  double cpu = 0;
  double wall = 0;
  std::uintmax_t file_bytes = 0;
  {
    auto opened = must(store::open("sqlite:" + arguments.database));
    must(store::migrate_to_latest(*opened));
    journal::Ingest like;
    like.watch = WatchId::make(system_clock().now());
    like.flow = FlowId::make(system_clock().now());
    like.user = UserId::make(system_clock().now());
    like.flow_version = 1;
    insert_watch(*opened, like);
    TimedDatabase database(*opened, arguments.split);
    const auto start = std::chrono::steady_clock::now();
    cpu = run_batches(arguments, database, like);
    wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    file_bytes =
        std::filesystem::file_size(arguments.database) + std::filesystem::file_size(arguments.database + "-wal");
    for (const auto& [name, spent] : database.spent)
      fmt::print("  {:7.2f} us  {}\n", spent / arguments.deliveries, name);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "batch {}: {:.1f} us CPU a delivery ({:.0f} % in the kernel), {:.0f} deliveries/s, {:.1f} KiB of file each, "
      "RSS {} MiB\n",
      arguments.batch, cpu / arguments.deliveries,
      100.0 * (static_cast<double>(usage.ru_stime.tv_sec) * 1e6 + static_cast<double>(usage.ru_stime.tv_usec)) / cpu,
      arguments.deliveries / wall, static_cast<double>(file_bytes) / 1024 / arguments.deliveries,
      usage.ru_maxrss / 1024);
  remove_all();
}

}  // namespace
}  // namespace patchbay

int main(int count, char** words) { patchbay::run(patchbay::parse(count, words)); }
