// __man: the manual as files, for the build.
#include <filesystem>
#include <fstream>

#include "client/cli/app.h"
#include "client/cli/man.h"

namespace zgrid::cli {

int run(App& app, const ManCommand& command) {
  std::error_code error;
  std::filesystem::create_directories(command.folder, error);
  for (const ManPage& page : man_pages(grammar(), app.version, command.date)) {
    const std::string path = command.folder + "/" + page.name + ".1";
    std::ofstream file(path);
    file << page.text;
    if (!file.flush()) {
      return fail_with(app, {Errc::io, "cannot write " + path, "", Effect::none, 0});
    }
  }
  return 0;
}

}  // namespace zgrid::cli
