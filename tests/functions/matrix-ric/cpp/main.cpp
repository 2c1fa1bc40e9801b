// Does what the event asks for, with Amazon's C++ runtime; exits in the init phase as FAIL_INIT says.
#include <aws/lambda-runtime/runtime.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

using namespace aws::lambda_runtime;

static unsigned long number_in(std::string const &event)
{
	auto at = event.find_first_of("0123456789");

	return at == std::string::npos ? 0 : std::strtoul(event.c_str() + at, nullptr, 10);
}

static invocation_response handler(invocation_request const &request)
{
	std::string const &event = request.payload;
	auto asked = [&event](char const *what) { return event.find('"' + std::string(what) + '"') != std::string::npos; };

	if (asked("ok"))
		return invocation_response::success("{\"ok\": true, \"id\": " + std::to_string(request.request_id.size()) +
			", \"name\": \"" + std::getenv("AWS_LAMBDA_FUNCTION_NAME") + "\", \"execution_env\": null}", "application/json");
	if (asked("error"))
		return invocation_response::failure("told to fail", "Cpp.Error", "");
	if (asked("exit"))
		std::exit(static_cast<int>(number_in(event)));
	if (asked("signal"))
		std::raise(SIGSEGV);
	if (asked("sleep"))
		std::this_thread::sleep_for(std::chrono::seconds(60));
	if (asked("large"))
		return invocation_response::success('"' + std::string(number_in(event) - 2, 'x') + '"', "application/json");
	if (asked("not-json"))
		return invocation_response::success("not: json", "text/plain");
	if (asked("print")) {
		std::puts("a line of the function");
		std::fflush(stdout);
	}
	return invocation_response::success("null", "application/json");
}

int main()
{
	if (std::getenv("FAIL_INIT"))
		return 1;
	run_handler(handler);
}
