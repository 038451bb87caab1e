package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.consumer.MessageListener;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Executor;

/** A listener that remembers what came, in order. */
final class Inbox implements MessageListener {
    private final List<Message> messages = new ArrayList<>();
    private final List<Long> arrivals = new ArrayList<>();

    @Override
    public synchronized void recieveMessages(Message message) {
        messages.add(message);
        arrivals.add(System.nanoTime());
    }

    @Override
    public Executor getExecutor() {
        return null;
    }

    synchronized int count() {
        return messages.size();
    }

    synchronized List<Message> messages() {
        return new ArrayList<>(messages);
    }

    synchronized long arrival(int index) {
        return arrivals.get(index);
    }

    synchronized List<String> texts() {
        List<String> texts = new ArrayList<>();
        for (Message message : messages) {
            texts.add(Lab.text(message));
        }
        return texts;
    }

    /** The names of the partitions that something came from. */
    synchronized Set<String> partitions() {
        Set<String> partitions = new TreeSet<>();
        for (Message message : messages) {
            partitions.add(message.getPartition().toString());
        }
        return partitions;
    }

    void await(int count, int seconds) throws Exception {
        Lab.await("expected " + count + " messages", seconds, () -> count() >= count);
    }
}
