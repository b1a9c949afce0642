#pragma once

#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "gateway/core.hpp"

namespace boost::asio::ssl {
class context;
}

namespace patchbay::gateway {

// Sockets on the loop's own executor type: no type erasure on the hot path.
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

// Serves an accepted socket until either side ends it. It keeps itself alive and is listed in core->connections.
void serve_plain(Socket socket, std::shared_ptr<Core> core);
void serve_tls(Socket socket, boost::asio::ssl::context& context, std::shared_ptr<Core> core);

}  // namespace patchbay::gateway
