import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.internal.*;

/** Wrote the java-*.hex files here, with kafka-clients 4.3.1: javac -cp "<jars>/*" JavaBatches.java && java -cp "<jars>/*:." JavaBatches */
public class JavaBatches {
  static SimpleRecord[] records() {
    SimpleRecord[] all = new SimpleRecord[200];
    for (int i = 0; i < all.length; i++) {
      byte[] key = i % 5 == 4 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
      byte[] value = i % 7 == 6 ? null : ("{\"seq\":" + i + ",\"tempC\":21.5,\"name\":\"gerät\"}").getBytes(StandardCharsets.UTF_8);
      Header[] headers = i % 3 == 2 ? new Header[] { new RecordHeader("mqtt.topic", ("t/" + i).getBytes(StandardCharsets.UTF_8)), new RecordHeader("none", null) } : new Header[0];
      all[i] = new SimpleRecord(i == 0 ? 1767225600000L : 1767225600000L + (i % 2 == 0 ? i * 1000L : -i * 10_000_000L), key, value, headers);
    }
    return all;
  }
  static void write(String name, MemoryRecords records) throws Exception {
    ByteBuffer buffer = records.buffer().duplicate();
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    StringBuilder hex = new StringBuilder();
    for (int i = 0; i < bytes.length; i++) { hex.append(String.format("%02x", bytes[i])); if (i % 64 == 63) hex.append('\n'); }
    Files.writeString(Path.of(name + ".hex"), hex.append('\n'));
  }
  public static void main(String[] args) throws Exception {
    write("java-none", MemoryRecords.withRecords(7L, Compression.NONE, records()));
    write("java-gzip", MemoryRecords.withRecords(7L, Compression.gzip().build(), records()));
    write("java-snappy", MemoryRecords.withRecords(7L, Compression.snappy().build(), records()));
    write("java-lz4", MemoryRecords.withRecords(7L, Compression.lz4().build(), records()));
    write("java-zstd", MemoryRecords.withRecords(7L, Compression.zstd().build(), records()));
    write("java-abort-marker", MemoryRecords.withEndTransactionMarker(42L, 1767225600000L, 3, 9L, (short) 2, new EndTransactionMarker(ControlRecordType.ABORT, 0)));
  }
}
