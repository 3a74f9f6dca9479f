document.title = 'smplab stress';
