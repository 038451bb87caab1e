package recipes;

/** One behaviour of a recipe, or of the client, and the servers behind it. Throws when it is not as it should be. */
@FunctionalInterface
interface Scenario {
    void run(Lab lab) throws Exception;
}
