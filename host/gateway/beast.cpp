// Beast's and asio's TLS code, compiled once: everything else sees declarations.
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
