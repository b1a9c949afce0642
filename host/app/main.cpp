#include "app/command_line.hpp"

int main(int argc, char** argv) { return patchbay::app::run(argc, argv); }
