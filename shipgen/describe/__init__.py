"""What a bundle or a file is, in lines of text: `shipgen info`."""
