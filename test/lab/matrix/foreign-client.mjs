// Runs in a network of its own, beside that of the mail host: connections to a socket of files go on to a port of the
// host, from an address that is not the host's. Arguments: the socket, the host's address. First comes a line with the port.
import net from 'node:net';
import process from 'node:process';

const [socket, host] = process.argv.slice(2);

net
  .createServer(inside => {
    inside.on('error', () => {});
    inside.once('data', piece => {
      inside.pause();
      const end = piece.indexOf('\n');
      const outside = net.connect({host, port: Number(piece.subarray(0, end).toString())});
      outside.on('error', () => inside.destroy());
      outside.write(piece.subarray(end + 1));
      inside.pipe(outside);
      outside.pipe(inside);
    });
  })
  .listen(socket, () => process.stdout.write('ready\n'));
