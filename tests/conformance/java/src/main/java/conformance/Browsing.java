package conformance;

import com.taobao.metamorphosis.Message;
import com.taobao.metamorphosis.client.TopicBrowser;
import com.taobao.metamorphosis.client.producer.MessageProducer;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;

/** The topic browser, from 1.4.5 on. */
final class Browsing {
    private Browsing() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("topic-browser", Browsing::topicBrowser);
    }

    private static void topicBrowser(Lab lab) throws Exception {
        MessageProducer producer = lab.producer("browser");
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < 50; i++) {
            expected.add("browse " + i);
            Lab.send(producer, "browser", "browse " + i);
        }
        TopicBrowser browser = lab.factory().createTopicBrowser("browser");
        Lab.same(lab.partitions("browser").size(), browser.getPartitions().size(), "partitions to browse");
        Set<String> seen = new HashSet<>();
        int count = 0;
        long start = System.nanoTime();
        for (Iterator<Message> messages = browser.iterator(); messages.hasNext(); count++) {
            seen.add(Lab.text(messages.next()));
        }
        long millis = (System.nanoTime() - start) / 1_000_000;
        browser.shutdown();
        Lab.same(50, count, "messages browsed");
        Lab.same(expected, seen, "messages browsed");
        Lab.check(millis < 4000, "browsing took " + millis + " ms: a get of the browser was held");
    }
}
