package recipes;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** The other end of our input and output: the Rust test that started us and holds the servers. */
final class Harness {
    private final BufferedReader answers = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private final PrintStream out = System.out;

    synchronized void say(String line) {
        out.println(line);
        out.flush();
    }

    /** Has something done to the servers, and returns when it is done. One request at a time. */
    synchronized void ask(String request) throws IOException {
        say("@ask " + request);
        String answer = answers.readLine();
        if (!"done".equals(answer)) {
            throw new IOException(request + ": " + answer);
        }
    }
}
